/**
 * The fold: the entries of a turn, in order, over the rows and the journal as the shard holds them. Pure.
 *
 * What it gives is all that the transaction stores. Folding a batch is the same as folding its records one by one:
 * every record sees what the records before it left, in the same turn or an earlier one.
 */
import type { Decision, Facts, RefusalCode } from '@millrace/domain';
import { assert, type BodyHash, type Digest, type Offset, type Slot } from '@millrace/write';
import { RELEASE_TYPE } from '@millrace/wire';
import { REASON_LENGTH_MAX, RELEASE_RECORDS_MAX, TURN_MESSAGES_MAX } from './limits.ts';
import type { Entry, LoggedRecord, ReleaseAction } from './model.ts';
import type { WorkingSet } from './working-set.ts';

export interface JournalRow {
  readonly record: LoggedRecord;
  readonly bodyHash: BodyHash;
  /** Null for a mismatch, whose digest names the first write, and for what has none. */
  readonly digest: Digest | null;
  readonly type: string;
  readonly outcome: 'applied' | 'refused';
  readonly detail: Facts | null;
  readonly messages: readonly object[] | null;
}

export interface ParkedRow {
  readonly record: LoggedRecord;
  readonly reason: string;
}

/** The write that a digest already names. */
export interface Seen {
  readonly bodyHash: BodyHash;
  readonly offset: Offset;
}

/** The journal, the parked keys and the rows, as the shard holds them under the turn's locks. */
export interface TurnState {
  readonly rows: WorkingSet;
  /** By `seenName`. */
  readonly seen: Map<string, Seen>;
  /**
   * Waiting records by `parkedName`, oldest first. Of a key that the turn releases as many as one release may try and
   * one more, which keeps the key parked; of any other the head alone.
   */
  readonly parked: Map<string, ParkedEntry[]>;
}

export interface ParkedEntry {
  readonly entry: Entry;
  readonly reason: string;
}

export interface Folded {
  readonly journal: JournalRow[];
  readonly parked: ParkedRow[];
  readonly released: LoggedRecord[];
  duplicates: number;
  /** That the rows of the journal send on. */
  messages: number;
}

/** The records of a turn send more messages than memory is meant to keep: nothing is stored, fewer of them are a turn. */
export class TurnTooLarge extends Error {
  override readonly name = 'TurnTooLarge';
  readonly code = 'turn_too_large';
  readonly retryable = true;

  constructor(entries: number) {
    super(`${entries} records send more than ${TURN_MESSAGES_MAX} messages: apply fewer at once`);
  }
}

/** The record that Postgres refused as data, alone in its turn. */
export interface Refused {
  readonly offset: Offset;
  readonly slot: Slot;
  readonly reason: string;
}

export function seenName(slot: Slot, digest: Digest): string {
  return `${slot}/${digest}`;
}

export function parkedName(record: { readonly slot: Slot; readonly key: string }): string {
  return `${record.slot}/${record.key}`;
}

/**
 * Folds the entries; `rows`, `seen` and `parked` of the state are brought up to date as it goes.
 * @throws TurnTooLarge; never where there is one entry.
 */
export function foldTurn(entries: readonly Entry[], state: TurnState, refused?: Refused): Folded {
  const folded: Folded = { journal: [], parked: [], released: [], duplicates: 0, messages: 0 };
  for (const entry of entries) {
    foldEntry(entry, state, folded, refused);
    if (folded.messages > TURN_MESSAGES_MAX && entries.length > 1) throw new TurnTooLarge(entries.length);
  }
  return folded;
}

function foldEntry(entry: Entry, state: TurnState, folded: Folded, refused?: Refused): void {
  const { record } = entry;
  const byData = refused?.slot === record.slot && refused.offset === record.offset ? refused.reason : undefined;
  if (entry.kind === 'release') return foldRelease(entry, state, folded, byData);
  const waiting = state.parked.get(parkedName(record));
  if (waiting?.[0]) return park(entry, `behind ${waiting[0].entry.record.offset}`, state, folded);
  const reason = byData ?? apply(entry, state, folded);
  if (reason !== undefined) park(entry, reason, state, folded);
}

/** Applies an entry once (W6). The reason why it cannot, where it cannot. */
function apply(entry: Entry, state: TurnState, folded: Folded, releasedBy?: Offset): string | undefined {
  if (entry.kind === 'poison') return entry.reason;
  assert(entry.kind === 'command', 'a release is not applied as a command');
  const released: Facts = releasedBy === undefined ? {} : { released_by: releasedBy.toString() };
  const name = seenName(entry.record.slot, entry.digest);
  const first = state.seen.get(name);
  if (first) {
    countAgain(entry, entry.command.type, first, folded, released);
    return undefined;
  }
  const decision = decide(entry, state.rows);
  if ('poison' in decision) return decision.poison;
  state.seen.set(name, { bodyHash: entry.bodyHash, offset: entry.record.offset });
  folded.journal.push({ ...journalRow(entry, entry.digest, decision, released), type: entry.command.type });
  folded.messages += decision.messages?.length ?? 0;
  if (decision.outcome === 'applied') for (const change of decision.changes) state.rows.change(change);
  return undefined;
}

/** W6: what came before is a duplicate, and leaves no row; under another body it is refused. */
function countAgain(entry: Entry, type: string, first: Seen, folded: Folded, released: Facts = {}): void {
  if (first.bodyHash === entry.bodyHash) folded.duplicates += 1;
  else folded.journal.push(refusal(entry, type, 'idempotency_mismatch', { first: first.offset.toString(), ...released }));
}

/** A reducer that throws is our bug, but one record of one key: it parks that key, and the others go on (W8). */
function decide(entry: Entry & { kind: 'command' }, rows: WorkingSet): Decision | { readonly poison: string } {
  try {
    return entry.command.apply(rows);
  } catch (error) {
    return { poison: `the reducer failed: ${String(error)}` };
  }
}

function journalRow(entry: Entry, digest: Digest, decision: Decision, released: Facts): Omit<JournalRow, 'type'> {
  const common = { record: entry.record, bodyHash: entry.bodyHash, digest, outcome: decision.outcome };
  if (decision.outcome === 'refused') return { ...common, detail: { code: decision.code, ...decision.detail, ...released }, messages: decision.messages ?? null };
  const detail = { ...decision.detail, ...released };
  return { ...common, detail: isEmpty(detail) ? null : detail, messages: decision.messages ?? null };
}

function refusal(entry: Entry, type: string, code: RefusalCode, facts: Facts): JournalRow {
  return { record: entry.record, bodyHash: entry.bodyHash, digest: null, type, outcome: 'refused', detail: { code, ...facts }, messages: null };
}

/** W8: the key waits, its records in order; the slot goes on. */
function park(entry: Entry, reason: string, state: TurnState, folded: Folded): void {
  const name = parkedName(entry.record);
  const waiting = state.parked.get(name) ?? [];
  const kept = { entry, reason: reason.slice(0, REASON_LENGTH_MAX) };
  waiting.push(kept);
  state.parked.set(name, waiting);
  folded.parked.push({ record: entry.record, reason: kept.reason });
}

/** An operator's release, at its place in the key's order: what waits is tried until one is still poison. */
function foldRelease(entry: Entry & { kind: 'release' }, state: TurnState, folded: Folded, byData?: string): void {
  const { record, digest, bodyHash, action } = entry;
  const first = state.seen.get(seenName(record.slot, digest));
  if (first) return countAgain(entry, RELEASE_TYPE, first, folded);
  state.seen.set(seenName(record.slot, digest), { bodyHash, offset: record.offset });
  const waiting = state.parked.get(parkedName(record)) ?? [];
  const base = { record, bodyHash, digest, type: RELEASE_TYPE, messages: null };
  if (waiting.length === 0) return void folded.journal.push({ ...base, outcome: 'refused', detail: { code: 'not_parked' } });
  if (byData !== undefined) return void folded.journal.push({ ...base, outcome: 'refused', detail: { code: 'still_parked', reason: byData } });
  const left = release(waiting, { action, by: record.offset }, state, folded);
  folded.journal.push({ ...base, outcome: 'applied', detail: { action, released: String(waiting.length - left.length), parked: String(left.length) } });
  if (left.length === 0) state.parked.delete(parkedName(record));
  else state.parked.set(parkedName(record), left);
}

function release(waiting: readonly ParkedEntry[], order: { action: ReleaseAction; by: Offset }, state: TurnState, folded: Folded): ParkedEntry[] {
  // Of its own messages: what a release lets go does not depend on the turn that it is in.
  const messagesMax = folded.messages + TURN_MESSAGES_MAX;
  for (const [index, { entry }] of waiting.entries()) {
    if (index === RELEASE_RECORDS_MAX || folded.messages >= messagesMax) return waiting.slice(index);
    const skipped = index === 0 && order.action === 'skip';
    if (skipped) skip(entry, order.by, state, folded);
    else if (apply(entry, state, folded, order.by) !== undefined) return waiting.slice(index);
    folded.released.push(entry.record);
  }
  return [];
}

/** The refusal is the write's outcome for good: under its idempotency key it cannot come again. */
function skip(entry: Entry, by: Offset, state: TurnState, folded: Folded): void {
  const row = refusal(entry, typeOf(entry), 'skipped_by_operator', { released_by: by.toString() });
  if (entry.kind !== 'command') return void folded.journal.push(row);
  state.seen.set(seenName(entry.record.slot, entry.digest), { bodyHash: entry.bodyHash, offset: entry.record.offset });
  folded.journal.push({ ...row, digest: entry.digest });
}

function typeOf(entry: Entry): string {
  return entry.kind === 'command' ? entry.command.type : 'unknown';
}

function isEmpty(facts: Facts): boolean {
  for (const _ in facts) return false;
  return true;
}
