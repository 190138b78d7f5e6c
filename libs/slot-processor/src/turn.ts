/**
 * A turn: everything that waits for a shard, in one transaction. Lock, load, fold, store.
 *
 * W1 the offsets below the position are applied, once, in order: the turn takes records from the position on and
 *    stores both in one commit.
 * W2 only an ACTIVE or MOVING slot applies.
 * W3 a zombie can only lose the race for the position row: whoever locks second sees the new position.
 */
import type { AnyTable, Row } from '@millrace/domain';
import type { Database, Sql, Tx } from '@millrace/postgres';
import { assert, must, type Digest, type Offset, type Slot } from '@millrace/write';
import { admit, type Claim, type SlotResult } from './admit.ts';
import { copyRowLine, copyRowsSql, loadRows, upsertRows } from './entity.sql.ts';
import { foldTurn, parkedName, seenName, type Folded, type JournalRow, type Refused, type Seen, type TurnState } from './fold.ts';
import { COPY_JOURNAL, copyJournalLine, insertJournal, digestOfUuid, readSeen, type SeenRow } from './journal.sql.ts';
import { COPY_ROWS_MIN, RELEASE_RECORDS_MAX } from './limits.ts';
import type { Entry, LoggedRecord, Slice, StreamModel } from './model.ts';
import { COPY_NOTES, copyNoteLine, insertNotes } from './notes.sql.ts';
import { movingSlots, notesOf } from './notes.ts';
import { COPY_PARKED, copyParkedLine, deleteParked, readParked, type StoredParked } from './parked.sql.ts';
import { advancePositions, lockPositions, readSlots, type NextPosition, type PositionRow, type SlotRow } from './position.sql.ts';
import { readRecord } from './read.ts';
import { createWorkingSet, type Wanted, type WorkingSet } from './working-set.ts';

export interface TurnResult {
  readonly slots: readonly SlotResult[];
  readonly journal: readonly JournalRow[];
  readonly duplicates: number;
  readonly parked: number;
  readonly records: number;
}

export interface TurnInput {
  readonly database: Database;
  readonly model: StreamModel;
  /** S. */
  readonly slots: number;
  /** In order within each slot. */
  readonly slices: readonly Slice[];
  /** How far the events of a slot are known to be published; 0 where nothing is known. */
  readonly relayedOf: (slot: Slot) => Offset;
  /** The one record of the slices that Postgres refused as data. */
  readonly refused?: Refused;
}

/**
 * The locks and what is to be read behind them travel together: each statement sees what was committed before it began,
 * and it begins once the locks are held.
 * @throws PgError: infrastructure or unknown commit (W5: run the turn again, it reads what became of it), or data; TurnTooLarge.
 */
export async function runTurn(input: TurnInput): Promise<TurnResult> {
  const { model, slots, slices } = input;
  const read = slices.flatMap((slice) => slice.records.map((record) => readRecord(model, slots, record)));
  return input.database.transaction(async (tx) => {
    const state: TurnState = { rows: createWorkingSet(), seen: new Map(), parked: new Map() };
    const [claim] = await Promise.all([claimSlots(tx, input), load(tx, input, { entries: read, state })]);
    const { results, records } = admit(slices, claim);
    if (records.length === 0) return { slots: results, journal: [], duplicates: 0, parked: 0, records: 0 };
    const admitted = new Set(records);
    const entries = read.filter(({ record }) => admitted.has(record));
    await loadParked(tx, input, { claim, entries, state });
    const folded = foldTurn(entries, state, input.refused);
    await store(tx, input, { claim, results, folded, state });
    return { slots: results, journal: folded.journal, duplicates: folded.duplicates, parked: folded.parked.length, records: entries.length };
  });
}

async function claimSlots(tx: Tx, { model, slices }: TurnInput): Promise<Claim> {
  const slots = [...new Set(slices.map((slice) => slice.slot))];
  const [positions, rows] = await Promise.all([
    tx.query<PositionRow>(lockPositions(model.stream, slots)),
    tx.query<SlotRow>(readSlots(model.stream, slots)),
  ]);
  return { positions: bySlot(positions), slots: bySlot(rows) };
}

/** The rows that the entries name, and the writes that their digests name already. */
async function load(tx: Tx, input: TurnInput, { entries, state }: { entries: readonly Entry[]; state: TurnState }): Promise<void> {
  const { rows, seen } = state;
  const digests: { slot: Slot; digest: Digest }[] = [];
  for (const entry of entries) {
    if (entry.kind !== 'poison') digests.push({ slot: entry.record.slot, digest: entry.digest });
    if (entry.kind === 'command') for (const ref of entry.command.reads) rows.want(entry.record.slot, ref);
  }
  await Promise.all([loadSeen(tx, input, { digests, seen }), ...rows.wanted().map((wanted) => loadTable(tx, input, { ...wanted, rows }))]);
}

async function loadSeen(tx: Tx, { model }: TurnInput, { digests, seen }: { digests: readonly { slot: Slot; digest: Digest }[]; seen: Map<string, Seen> }): Promise<void> {
  if (digests.length === 0) return;
  for (const row of await tx.query<SeenRow>(readSeen(model.stream, digests))) {
    seen.set(seenName(row.slot, digestOfUuid(row.digest)), { bodyHash: row.body_hash, offset: row.offset });
  }
}

async function loadTable(tx: Tx, { model }: TurnInput, { table, keys, rows }: { table: AnyTable; keys: readonly Wanted[]; rows: WorkingSet }): Promise<void> {
  assert(model.tables.includes(table), `W7: ${table.name} belongs to stream ${model.stream}`);
  for (const row of await tx.query<Row>(loadRows(table, keys))) rows.loaded(table, row);
}

/** The head of every parked key that the turn meets; of a key that it releases, as many as one release may try. */
async function loadParked(tx: Tx, input: TurnInput, { claim, entries, state }: { claim: Claim; entries: readonly Entry[]; state: TurnState }): Promise<void> {
  const { model, slots } = input;
  const parkedKeys = new Set([...claim.slots.values()].flatMap((row) => row.parked_keys.map((key) => parkedName({ slot: row.slot, key }))));
  const met = new Map<string, { slot: Slot; key: string; recordsMax: number }>();
  for (const { kind, record } of parkedKeys.size === 0 ? [] : entries) {
    const name = parkedName(record);
    if (!parkedKeys.has(name)) continue;
    // One more than all releases of the turn may try, so that a key with records left stays parked.
    const recordsMax = (met.get(name)?.recordsMax ?? 1) + (kind === 'release' ? RELEASE_RECORDS_MAX : 0);
    met.set(name, { slot: record.slot, key: record.key, recordsMax });
  }
  if (met.size === 0) return;
  const waiting: Entry[] = [];
  for (const row of await tx.query<StoredParked>(readParked(model.stream, [...met.values()]))) {
    const record = { slot: row.slot, offset: row.offset, key: row.key, value: row.value, atMs: Number(row.at_ms) };
    const entry = readRecord(model, slots, record);
    const list = state.parked.get(parkedName(record)) ?? [];
    list.push({ entry, reason: row.reason });
    state.parked.set(parkedName(record), list);
    waiting.push(entry);
  }
  await load(tx, input, { entries: waiting, state });
}

interface Turn {
  readonly claim: Claim;
  readonly results: readonly SlotResult[];
  readonly folded: Folded;
  readonly state: TurnState;
}

/**
 * Many rows by COPYs, one after the other; what is left in one round trip. Few new rows travel with it, because each
 * COPY costs two round trips of its own. The commit waits for every answer.
 */
async function store(tx: Tx, { model, relayedOf }: TurnInput, { claim, folded, state, results }: Turn): Promise<void> {
  const { stream } = model;
  const dirty = state.rows.dirty();
  const notes = notesOf(movingSlots(claim), { stream, folded, dirty });
  const statements: Sql[] = [];
  if (folded.journal.length >= COPY_ROWS_MIN) await tx.copyIn(COPY_JOURNAL, folded.journal.map((row) => copyJournalLine(stream, row)));
  else if (folded.journal.length > 0) statements.push(insertJournal(stream, folded.journal));
  for (const { table, added, changed } of dirty) {
    const copied = added.length >= COPY_ROWS_MIN;
    if (copied) await tx.copyIn(copyRowsSql(table), added.map((row) => copyRowLine(table, row)));
    const rows = copied ? changed : [...added, ...changed];
    if (rows.length > 0) statements.push(upsertRows(table, rows));
  }
  if (folded.parked.length > 0) await tx.copyIn(COPY_PARKED, folded.parked.map((row) => copyParkedLine(stream, row)));
  if (notes.length >= COPY_ROWS_MIN) await tx.copyIn(COPY_NOTES, notes.map((note) => copyNoteLine(stream, note)));
  else if (notes.length > 0) statements.push(insertNotes(stream, notes));
  if (folded.released.length > 0) statements.push(deleteParked(stream, folded.released));
  statements.push(advancePositions(stream, advanced(results, relayedOf)));
  await Promise.all(statements.map((statement) => tx.query(statement)));
}

function advanced(results: readonly SlotResult[], relayedOf: (slot: Slot) => Offset): readonly NextPosition[] {
  return results.flatMap((result) => {
    if (result.kind !== 'applied') return [];
    assert(result.next >= result.before, 'W1: a position never goes back');
    return [{ slot: result.slot, next: result.next, relayed: relayedOf(result.slot) }];
  });
}

function bySlot<R extends { readonly slot: Slot }>(rows: readonly R[]): ReadonlyMap<Slot, R> {
  const map = new Map(rows.map((row) => [row.slot, row]));
  assert(map.size === rows.length, 'a slot has one row');
  return map;
}

/** The one record of slices that hold exactly one. */
export function onlyRecord(slices: readonly Slice[]): LoggedRecord {
  return must(slices.find((slice) => slice.records.length > 0)?.records[0], 'the slices hold a record');
}
