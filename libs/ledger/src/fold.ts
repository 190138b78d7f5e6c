/**
 * The fold of one slot of one stream: what the records below the shard's position must have left behind.
 *
 * A record is a duplicate (digest seen, same body), a mismatch (digest seen, other body), parked (unreadable, or
 * behind a parked record of its key, or one that no shard can apply), or a deed with an outcome. A release lets the parked records of its key go
 * on, in order, at the release's place.
 *
 * One thing the log cannot tell: that Postgres refused a record's data. There the shard is the witness: a record
 * that stands in `parked`, or whose journal row says that a release let it go, was parked; and a release of a parked
 * key may have been refused as `still_parked`. Such records are counted (`parkedOnTrust`). All that follows from a parked record is the fold's again: its followers must wait behind it,
 * and a release must take them in order.
 */
import { must, type Digest } from '@millrace/write';
import { hashOfMessages } from './message.ts';
import { digestOfRecord, readRecord, typeOf, type DeedReading, type Reading, type ReleaseReading } from './record.ts';
import type { Answer, StreamRules } from './rules.ts';
import type { JournalRow, LogEnds, LogRecord, StreamRows } from './snapshot.ts';

/** What a shard says about records that were parked; small, because parking is rare. */
export interface Witness {
  /** Offsets that stand in `parked`. */
  readonly parked: ReadonlySet<bigint>;
  /** Journal rows that a release let go, by offset. */
  readonly released: ReadonlyMap<bigint, JournalRow>;
  /** Releases that let nothing go, because Postgres refused the data again. */
  readonly refused: ReadonlySet<bigint>;
}

/** A journal row that must be there. */
export interface ExpectedRow extends Omit<JournalRow, 'facts' | 'messages'> {
  /** Undefined where they are not compared. */
  readonly facts: unknown;
  /** The hash of its messages; null where it has none. */
  readonly messagesHash: string | null;
  /** Skipped without being read: what the shard could make of its type and digest is its own affair. */
  readonly isUnread: boolean;
}

export interface ExpectedParked {
  readonly reading: Reading;
  readonly onTrust: boolean;
}

export interface SlotFoldOptions {
  /** S. */
  readonly slots: number;
  /** Of the stream, with the model of the slot behind them. */
  readonly rules: StreamRules;
  readonly ends: LogEnds;
  /** The shard's position: the fold covers exactly the records below. */
  readonly position: bigint;
  readonly witness: Witness;
  /** Receipts of this slot: the digest that must stand at an offset. */
  readonly acked?: ReadonlyMap<bigint, Digest> | undefined;
}

/** The witness in a slot's rows of the stream. */
export function witnessOf({ parked, journal }: Pick<StreamRows, 'parked' | 'journal'>): Witness {
  return {
    parked: new Set(parked.map(({ offset }) => offset)),
    released: new Map(journal.filter(({ releasedBy }) => releasedBy !== null).map((row) => [row.offset, row])),
    refused: new Set(journal.filter(({ code }) => code === STILL_PARKED).map(({ offset }) => offset)),
  };
}

export class SlotFold {
  readonly ends: LogEnds;
  readonly position: bigint;
  /** Parked and not released, by key; each queue in offset order, none empty. */
  readonly parked = new Map<string, ExpectedParked[]>();
  /** Offsets of records that repeat an earlier one, with their type. */
  readonly duplicates = new Map<bigint, string>();
  /** Receipts whose record was not met, by offset. */
  readonly ackedMissing: Map<bigint, Digest>;
  readonly ackedGiven: number;
  /** Records read, the lag included. */
  records = 0;
  /** Records at or above the position, below the end. */
  lag = 0;
  /** The offset behind the last record that was read. */
  readTo: bigint;

  readonly #slots: number;
  readonly #rules: StreamRules;
  readonly #end: bigint;
  readonly #witness: Witness;
  readonly #rows: ExpectedRow[] = [];
  readonly #rowsByDigest = new Map<string, ExpectedRow>();

  constructor({ slots, rules, ends, position, witness, acked = new Map<bigint, Digest>() }: SlotFoldOptions) {
    this.ends = ends;
    this.position = position;
    this.readTo = ends.low;
    this.ackedMissing = new Map(acked);
    this.ackedGiven = acked.size;
    this.#slots = slots;
    this.#rules = rules;
    this.#witness = witness;
    // A live shard may be ahead of the end that was asked for first: what it has applied is folded too.
    this.#end = position > ends.high ? position : ends.high;
  }

  /** Takes the next record of the slot; what lies at or above the end is left alone. */
  take(record: LogRecord): void {
    if (record.offset >= this.#end) return;
    this.records += 1;
    this.readTo = record.offset + 1n;
    if (this.ackedMissing.size > 0) this.#checkAcked(record);
    if (record.offset >= this.position) this.lag += 1;
    // Without its start a slot has no known state to fold on.
    else if (this.ends.low === 0n) this.#fold(readRecord(record, this.#slots, this.#rules));
  }

  /** The journal rows that must be there, by offset; complete when the log has been read. */
  expectedRows(): readonly ExpectedRow[] {
    return this.#rows.sort((a, b) => (a.offset < b.offset ? -1 : 1));
  }

  /** The row in which a digest was settled first. */
  rowOf(digest: string): ExpectedRow | undefined {
    return this.#rowsByDigest.get(digest);
  }

  #fold(reading: Reading): void {
    if (reading.kind === 'unreadable') return this.#park(reading, { onTrust: false });
    if (this.#wasParked(reading.offset)) return this.#park(reading, { onTrust: !this.parked.has(reading.key) });
    const first = this.rowOf(reading.digest);
    if (first !== undefined) return this.#repeat(reading, first, null);
    if (reading.kind === 'release') return this.#release(reading);
    if (this.parked.has(reading.key)) return this.#park(reading, { onTrust: false });
    if (!this.#settle(reading, null)) this.#park(reading, { onTrust: false });
  }

  #wasParked(offset: bigint): boolean {
    return this.#witness.parked.has(offset) || this.#witness.released.has(offset);
  }

  #park(reading: Reading, { onTrust }: { readonly onTrust: boolean }): void {
    // A view of a whole fetch would keep all of it in memory.
    const value = reading.value === null ? null : Buffer.from(reading.value);
    const queue = this.parked.get(reading.key) ?? [];
    queue.push({ reading: { ...reading, value }, onTrust });
    this.parked.set(reading.key, queue);
  }

  #repeat(reading: DeedReading | ReleaseReading, first: ExpectedRow, releasedBy: string | null): void {
    if (first.bodyHash === reading.bodyHash) this.duplicates.set(reading.offset, typeOf(reading));
    else this.#remember({ ...rowFor(reading, releasedBy), digest: null, outcome: 'refused', code: MISMATCH, first: String(first.offset) });
  }

  /** False where no shard can apply it: it stays parked. */
  #settle(reading: DeedReading, releasedBy: string | null): boolean {
    const answer = reading.deed(reading);
    if (answer === 'parked') return false;
    this.#remember({ ...rowFor(reading, releasedBy), ...rowPartsOf(answer) });
    return true;
  }

  #release(reading: ReleaseReading): void {
    const queue = this.parked.get(reading.key);
    if (queue === undefined) return this.#remember({ ...rowFor(reading, null), outcome: 'refused', code: 'not_parked' });
    if (this.#witness.refused.has(reading.offset)) return this.#remember({ ...rowFor(reading, null), outcome: 'refused', code: STILL_PARKED });
    this.#remember(rowFor(reading, null));
    const by = String(reading.offset);
    if (reading.action === 'skip') this.#skip(must(queue.shift(), 'a queue of parked records is never empty').reading, by);
    for (let head = queue[0]; head !== undefined && this.#retry(head.reading, by); head = queue[0]) queue.shift();
    if (queue.length === 0) this.parked.delete(reading.key);
  }

  #skip(reading: Reading, by: string): void {
    const row = rowFor(reading, by);
    // What cannot be read names no write that could come again.
    const isUnread = reading.kind === 'unreadable';
    this.#remember({ ...row, digest: isUnread ? null : row.digest, outcome: 'refused', code: 'skipped_by_operator', isUnread });
  }

  /** False where the record stays parked at this release, by its content or by the shard's word. */
  #retry(reading: Reading, by: string): boolean {
    if (reading.kind !== 'deed' || this.#witness.parked.has(reading.offset)) return false;
    const said = this.#witness.released.get(reading.offset);
    if (said !== undefined && said.releasedBy !== by) return false;
    const first = this.rowOf(reading.digest);
    if (first === undefined) return this.#settle(reading, by);
    this.#repeat(reading, first, by);
    return true;
  }

  #remember(row: ExpectedRow): void {
    this.#rows.push(row);
    if (row.digest !== null) this.#rowsByDigest.set(row.digest, row);
  }

  #checkAcked(record: LogRecord): void {
    const digest = this.ackedMissing.get(record.offset);
    if (digest !== undefined && digestOfRecord(record) === digest) this.ackedMissing.delete(record.offset);
  }
}

const MISMATCH = 'idempotency_mismatch';
const STILL_PARKED = 'still_parked';

/** The row of a record that was applied; the caller changes what is otherwise. */
function rowFor(reading: Reading, releasedBy: string | null): ExpectedRow {
  const { offset, bodyHash, atMs, key } = reading;
  const digest = reading.digest ?? null;
  const common = { offset, bodyHash, atMs, digest, key, type: typeOf(reading), releasedBy };
  return { ...common, outcome: 'applied', code: null, first: null, facts: undefined, messagesHash: null, isUnread: false };
}

function rowPartsOf({ code, facts, messages }: Answer): Pick<ExpectedRow, 'outcome' | 'code' | 'facts' | 'messagesHash'> {
  const outcome = code === null ? 'applied' : 'refused';
  return { outcome, code, facts: facts === undefined && code === null ? null : facts, messagesHash: hashOfMessages(messages) };
}
