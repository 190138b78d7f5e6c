/**
 * One slot: what the fold of the log expects, against the rows of the shard that holds it.
 *
 * Which comparison sees which fault:
 *   lost row                a journal row is missing below the position; its effect is missing in the entities
 *   row applied twice       the entities differ (each journal row exists once, its effect does not)
 *   duplicate applied       a journal row at the offset of a duplicate, or one digest in two rows
 *   order swapped           where the two do not commute: an outcome, a refusal code or a final state differs; where
 *                           they do commute no state of the shard could tell, and none differs. Rows that were swapped
 *                           in the journal itself show by digest, body hash and time
 *   wrong balance, state    the entities, each against the fold
 *   row on a wrong shard    every other shard is asked for rows of the slot (`places.ts`)
 *   applied but not counted, counted but not applied    the position against the log's end, both ways
 *   wrong, lost message     the messages of each journal row, against what its record must send (`mail.ts` across slots)
 *   parked without need     no difference: the shard is believed, and the verdict counts it (`parkedOnTrust`)
 */
import type { ShardId, Stream } from '@millrace/write';
import { compareEntities } from './compare-entities.ts';
import { compareEscrow } from './escrow.ts';
import type { ExpectedParked, ExpectedRow, SlotFold } from './fold.ts';
import { canonicalText, hashOfMessages, isCommand } from './message.ts';
import { typeOf } from './record.ts';
import type { SlotLedger } from './slot-ledger.ts';
import type { JournalRow, ParkedRow, SlotRows, StreamRows } from './snapshot.ts';
import type { Agreement, Difference, DifferenceKind, Report } from './verdict.ts';

export interface SlotComparison {
  readonly shard: ShardId;
  readonly ledger: SlotLedger;
  readonly rows: SlotRows;
  readonly report: Report;
}

/** Compares one slot whose logs have been folded with the rows of its holder. */
export function compareSlot({ shard, ledger, rows, report }: SlotComparison): void {
  const { folds, model, sagas, slot } = ledger;
  report.agrees('records', folds.writes.records - ledger.commands);
  report.agrees('steps', folds.sagas.records + ledger.commands);
  for (const stream of ['writes', 'sagas'] as const) compareStream({ shard, stream, fold: folds[stream], rows: rows.streams[stream], report });
  if (!isTruncated(folds.writes) && !isTruncated(folds.sagas)) compareEntities({ shard, slot, model, sagas, rows, report });
  compareEscrow({ shard, slot, rows, report });
}

function isTruncated({ ends }: SlotFold): boolean {
  return ends.low > 0n;
}

interface StreamComparison {
  readonly shard: ShardId;
  readonly stream: Stream;
  readonly fold: SlotFold;
  readonly rows: StreamRows;
  readonly report: Report;
}

function compareStream(comparison: StreamComparison): void {
  const { fold, report, stream } = comparison;
  compareReading(comparison);
  comparePosition(comparison);
  if (isTruncated(fold)) return;
  compareAcked(comparison);
  compareJournal(comparison);
  compareParked(comparison);
  for (const type of fold.duplicates.values()) report.agrees(isStep(stream, type) ? 'stepDuplicates' : 'duplicates');
}

/** Between the streams: no client's. */
function isStep(stream: Stream, type: string): boolean {
  return stream === 'sagas' || isCommand(type);
}

function compareReading({ shard, stream, fold, report }: StreamComparison): void {
  const { slot, low, high } = fold.ends;
  if (low > 0n) {
    const actual = `the log starts at offset ${low}: outcomes, balances, payments, orders, stock, parked keys and receipts of this slot were not checked`;
    report.differs({ kind: 'log_truncated', shard, stream, slot, offset: low, expected: 'the log from offset 0', actual });
  }
  if (fold.readTo < high) {
    report.differs({ kind: 'log_unread', shard, stream, slot, offset: fold.readTo, expected: `records up to offset ${high}`, actual: `read up to ${fold.readTo}` });
  }
}

function comparePosition({ shard, stream, fold, rows, report }: StreamComparison): void {
  const { slot, low, high } = fold.ends;
  const relayed = rows.position?.relayedOffset ?? 0n;
  const at = { shard, stream, slot, offset: fold.position };
  if (fold.position < low) {
    report.differs({ ...at, kind: 'lost', expected: `position ${low} or more`, actual: `position ${fold.position}: Kafka dropped records before they were applied` }, Number(low - fold.position));
  }
  if (fold.position > fold.readTo && fold.position > high) {
    report.differs({ ...at, kind: 'wrong_position', expected: `at most ${high}, the end of the log`, actual: `position ${fold.position}` });
  }
  if (relayed > fold.position) {
    report.differs({ ...at, kind: 'wrong_position', expected: `at most ${fold.position} relayed`, actual: `${relayed} relayed` });
  }
  if (fold.lag > 0) {
    report.differs({ ...at, kind: 'not_yet_applied', expected: `position ${high}`, actual: `position ${fold.position}, ${fold.lag} records behind` }, fold.lag);
  }
}

function compareAcked({ shard, stream, fold, report }: StreamComparison): void {
  report.agrees('acked', fold.ackedGiven);
  for (const [offset, digest] of fold.ackedMissing) {
    report.differs({ kind: 'lost', shard, stream, slot: fold.ends.slot, offset, expected: `the acknowledged write ${digest} in the log`, actual: 'not there' });
  }
}

function compareJournal({ shard, stream, fold, rows, report }: StreamComparison): void {
  const { slot } = fold.ends;
  const expected = fold.expectedRows();
  const actual = [...rows.journal].sort((a, b) => (a.offset < b.offset ? -1 : 1));
  const digests = new Set<string>();
  const differs = differsAt(report, { shard, stream, slot });
  let next = 0;
  for (const row of actual) {
    for (let missed = expected[next]; missed !== undefined && missed.offset < row.offset; missed = expected[++next]) {
      differs(missed, { kind: 'lost', expected: showRow(missed), actual: 'no journal row' });
    }
    const wanted = expected[next];
    const repeated = row.digest !== null && digests.size === digests.add(row.digest).size;
    if (repeated) differs(row, { kind: 'doubled', expected: 'each digest once', actual: `${showRow(row)} again` });
    if (wanted?.offset !== row.offset) {
      if (!repeated) differs(row, unexplained(fold, row));
      continue;
    }
    const difference = differenceOf(fold, wanted, row);
    if (difference !== undefined) differs(row, difference);
    else if (!repeated) report.agrees(agreementOf(stream, row));
    // A second row at one offset meets no expectation any more.
    next += 1;
  }
  for (const missed of expected.slice(next)) differs(missed, { kind: 'lost', expected: showRow(missed), actual: 'no journal row' });
}

function unexplained(fold: SlotFold, row: JournalRow): Found {
  const actual = showRow(row);
  if (fold.duplicates.has(row.offset)) return { kind: 'doubled', expected: 'no row: the record repeats an earlier write', actual };
  if (row.offset >= fold.position) return { kind: 'wrong_row', expected: `no row at or above the position ${fold.position}`, actual };
  const isParked = fold.parked.get(row.key)?.some(({ reading }) => reading.offset === row.offset) === true;
  if (isParked) return { kind: 'wrong_row', expected: 'no row: the record is parked', actual };
  if (fold.rowOf(row.digest ?? '') !== undefined) return { kind: 'doubled', expected: 'the write at its own offset only', actual };
  return { kind: 'wrong_row', expected: 'no row: the log holds no such record', actual };
}

function differenceOf(fold: SlotFold, expected: ExpectedRow, actual: JournalRow): Found | undefined {
  const shown = { expected: showRow(expected), actual: showRow(actual) };
  if (actual.digest !== expected.digest || actual.bodyHash !== expected.bodyHash) {
    const place = fold.rowOf(actual.digest ?? '');
    return { ...shown, kind: place !== undefined && place.offset !== actual.offset ? 'out_of_order' : 'wrong_row' };
  }
  if (actual.outcome !== expected.outcome || actual.code !== expected.code) return { ...shown, kind: 'out_of_order' };
  if (actual.first !== expected.first || actual.releasedBy !== expected.releasedBy) return { ...shown, kind: 'wrong_row' };
  if (actual.key !== expected.key || actual.atMs !== expected.atMs) return { ...shown, kind: 'wrong_row' };
  if (actual.type !== expected.type && !expected.isUnread) return { ...shown, kind: 'wrong_row' };
  if (expected.facts !== undefined && canonicalText(actual.facts) !== canonicalText(expected.facts)) {
    return { kind: 'wrong_row', expected: `${shown.expected}, saying ${canonicalText(expected.facts)}`, actual: `${shown.actual}, saying ${canonicalText(actual.facts)}` };
  }
  if (hashOfMessages(actual.messages) !== expected.messagesHash) {
    const sent = expected.messagesHash === null ? 'no messages' : 'the messages that its record must send';
    return { kind: 'wrong_message', expected: `${shown.expected}, with ${sent}`, actual: `${shown.actual}, with ${canonicalText(actual.messages).slice(0, MESSAGES_SHOWN_LENGTH_MAX)}` };
  }
  return undefined;
}

function agreementOf(stream: Stream, { type, outcome, code }: JournalRow): Agreement {
  if (isStep(stream, type)) return code === 'idempotency_mismatch' ? 'stepMismatches' : 'stepsApplied';
  if (outcome === 'applied') return 'applied';
  return code === 'idempotency_mismatch' ? 'mismatches' : 'refused';
}

function compareParked({ shard, stream, fold, rows, report }: StreamComparison): void {
  const differs = differsAt(report, { shard, stream, slot: fold.ends.slot });
  const actual = new Map(rows.parked.map((row) => [row.offset, row]));
  for (const expected of [...fold.parked.values()].flat()) {
    const { reading, onTrust } = expected;
    const row = actual.get(reading.offset);
    actual.delete(reading.offset);
    if (row === undefined) differs(reading, { kind: 'lost', expected: `parked: ${showParked(expected)}`, actual: 'not parked' });
    else if (isSameParked(expected, row)) agreesParked(report, onTrust);
    else differs(reading, { kind: 'wrong_parked', expected: showParked(expected), actual: `${row.value?.length ?? 'no'} bytes at ${row.atMs}, key ${row.key}` });
  }
  for (const row of actual.values()) {
    differs(row, { kind: 'wrong_parked', expected: 'no parked row', actual: `${row.value?.length ?? 'no'} bytes at ${row.atMs}` });
  }
}

function agreesParked(report: Report, onTrust: boolean): void {
  report.agrees('parked');
  if (onTrust) report.agrees('parkedOnTrust');
}

function isSameParked({ reading }: ExpectedParked, { key, value, atMs }: ParkedRow): boolean {
  const sameValue = reading.value === null || value === null ? reading.value === value : reading.value.equals(value);
  return sameValue && reading.atMs === atMs && (reading.key === key || !isPlain(reading.key));
}

/** A key that Postgres cannot hold as text is kept in a form of the shard's own. */
function isPlain(key: string): boolean {
  return !key.includes('\0') && !key.includes('\uFFFD');
}

type Found = Pick<Difference, 'expected' | 'actual'> & { readonly kind: DifferenceKind };

const MESSAGES_SHOWN_LENGTH_MAX = 500;

function differsAt(report: Report, place: Pick<Difference, 'shard' | 'stream' | 'slot'>): (at: { readonly offset: bigint; readonly key: string }, found: Found) => void {
  return ({ offset, key }, found) => {
    report.differs({ ...place, offset, key, ...found });
  };
}

function showRow({ type, outcome, code, first, releasedBy, digest, atMs }: JournalRow | ExpectedRow): string {
  const facts = [code, first === null ? null : `first ${first}`, releasedBy === null ? null : `released by ${releasedBy}`].filter((fact) => fact !== null);
  return `${type} ${outcome}${facts.length === 0 ? '' : ` (${facts.join(', ')})`}, digest ${digest?.slice(0, 8) ?? 'none'}, at ${atMs}`;
}

function showParked({ reading, onTrust }: ExpectedParked): string {
  return `${typeOf(reading)}${onTrust ? ' (valid to the checker)' : ''}, ${reading.value?.length ?? 'no'} bytes at ${reading.atMs}`;
}
