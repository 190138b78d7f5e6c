/**
 * A turn: everything that waits for a shard, in one transaction. Lock, load, fold, store.
 *
 * W1 the offsets below the position are applied, once, in order: the turn takes records from the position on and
 *    stores both in one commit.
 * W2 only an ACTIVE or MOVING slot applies.
 * W3 a zombie can only lose the race for the position row: whoever locks second sees the new position.
 */
import type { AnyTable, Row } from '@millrace/domain';
import type { Database, Tx } from '@millrace/postgres';
import { assert, must, type Digest, type Offset, type ShardId, type Slot } from '@millrace/write';
import { copyRowLine, copyRowsSql, loadRows, replaceRows } from './entity.sql.ts';
import { foldTurn, parkedName, seenName, type Folded, type JournalRow, type ParkedEntry, type Refused, type Seen, type TurnState } from './fold.ts';
import { COPY_JOURNAL, copyJournalLine, digestOfUuid, readSeen, type SeenRow } from './journal.sql.ts';
import { RELEASE_RECORDS_MAX } from './limits.ts';
import type { Entry, LoggedRecord, Slice, StreamModel } from './model.ts';
import { COPY_PARKED, copyParkedLine, deleteParked, readParked, type StoredParked } from './parked.sql.ts';
import { advancePositions, lockPositions, readSlots, type NextPosition, type PositionRow, type SlotRow } from './position.sql.ts';
import { readRecord } from './read.ts';
import { createWorkingSet, type Wanted, type WorkingSet } from './working-set.ts';

export type SlotResult =
  /** The records of the slices below `next` are applied, by this turn or before it. */
  | { readonly kind: 'applied'; readonly slot: Slot; readonly before: Offset; readonly relayed: Offset; readonly next: Offset }
  /** The slices start behind the position: records are missing between. */
  | { readonly kind: 'gap'; readonly slot: Slot; readonly position: Offset; readonly relayed: Offset }
  /** The slot is not this shard's (any more, or yet). */
  | { readonly kind: 'elsewhere'; readonly slot: Slot; readonly movedTo: ShardId | undefined };

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

/** @throws PgError: infrastructure or unknown commit (W5: run the turn again, it reads what became of it), or data. */
export async function runTurn(input: TurnInput): Promise<TurnResult> {
  return input.database.transaction(async (tx) => {
    const claim = await claimSlots(tx, input);
    const { results, records } = admit(input.slices, claim);
    if (records.length === 0) return { slots: results, journal: [], duplicates: 0, parked: 0, records: 0 };
    const entries = records.map((record) => readRecord(input.model, input.slots, record));
    const state = await loadState(tx, input, { claim, entries });
    const folded = foldTurn(entries, state, input.refused);
    await store(tx, input, { results, folded, state });
    return { slots: results, journal: folded.journal, duplicates: folded.duplicates, parked: folded.parked.length, records: entries.length };
  });
}

export interface Claim {
  readonly positions: ReadonlyMap<Slot, PositionRow>;
  readonly slots: ReadonlyMap<Slot, SlotRow>;
}

async function claimSlots(tx: Tx, { model, slices }: TurnInput): Promise<Claim> {
  const slots = [...new Set(slices.map((slice) => slice.slot))];
  const [positions, rows] = await Promise.all([
    tx.query<PositionRow>(lockPositions(model.stream, slots)),
    tx.query<SlotRow>(readSlots(model.stream, slots)),
  ]);
  return { positions: bySlot(positions), slots: bySlot(rows) };
}

/** Which records this turn applies, and what becomes of each slot. Pure. */
export function admit(slices: readonly Slice[], claim: Claim): { readonly results: readonly SlotResult[]; readonly records: readonly LoggedRecord[] } {
  const records: LoggedRecord[] = [];
  const results = new Map<Slot, SlotResult>();
  for (const slice of slices) {
    const known = results.get(slice.slot);
    if (known && known.kind !== 'applied') continue;
    results.set(slice.slot, admitSlice(slice, known, claim, records));
  }
  return { results: [...results.values()], records };
}

function admitSlice(slice: Slice, known: (SlotResult & { kind: 'applied' }) | undefined, claim: Claim, records: LoggedRecord[]): SlotResult {
  const { slot } = slice;
  const row = claim.slots.get(slot);
  const position = claim.positions.get(slot);
  if (!row || !position || (row.state !== 'ACTIVE' && row.state !== 'MOVING')) {
    return { kind: 'elsewhere', slot, movedTo: row?.moved_to ?? undefined };
  }
  const next = known?.next ?? position.next_offset;
  if (slice.from > next) {
    assert(!known, 'W1: the slices of a slot follow each other without a gap');
    return { kind: 'gap', slot, position: next, relayed: position.relayed_offset };
  }
  for (const record of slice.records) if (record.offset >= next) records.push(record);
  return { kind: 'applied', slot, before: position.next_offset, relayed: position.relayed_offset, next: slice.to > next ? slice.to : next };
}

async function loadState(tx: Tx, input: TurnInput, { claim, entries }: { claim: Claim; entries: readonly Entry[] }): Promise<TurnState> {
  const rows = createWorkingSet();
  const parked = await loadParked(tx, input, { claim, entries });
  const waiting = [...parked.values()].flatMap((list) => list.map(({ entry }) => entry));
  const digests: { slot: Slot; digest: Digest }[] = [];
  for (const entry of [...waiting, ...entries]) {
    if (entry.kind !== 'poison') digests.push({ slot: entry.record.slot, digest: entry.digest });
    if (entry.kind === 'command') for (const ref of entry.command.reads) rows.want(entry.record.slot, ref);
  }
  const seen = new Map<string, Seen>();
  await Promise.all([loadSeen(tx, input, { digests, seen }), ...rows.wanted().map((wanted) => loadTable(tx, input, { ...wanted, rows }))]);
  return { rows, seen, parked };
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
async function loadParked(tx: Tx, { model, slots }: TurnInput, { claim, entries }: { claim: Claim; entries: readonly Entry[] }): Promise<Map<string, ParkedEntry[]>> {
  const parkedKeys = new Set([...claim.slots.values()].flatMap((row) => row.parked_keys.map((key) => parkedName({ slot: row.slot, key }))));
  const met = new Map<string, { slot: Slot; key: string; recordsMax: number }>();
  for (const { kind, record } of parkedKeys.size === 0 ? [] : entries) {
    const name = parkedName(record);
    if (!parkedKeys.has(name)) continue;
    // One more than all releases of the turn may try, so that a key with records left stays parked.
    const recordsMax = (met.get(name)?.recordsMax ?? 1) + (kind === 'release' ? RELEASE_RECORDS_MAX : 0);
    met.set(name, { slot: record.slot, key: record.key, recordsMax });
  }
  const parked = new Map<string, ParkedEntry[]>();
  for (const row of met.size === 0 ? [] : await tx.query<StoredParked>(readParked(model.stream, [...met.values()]))) {
    const record = { slot: row.slot, offset: row.offset, key: row.key, value: row.value, atMs: Number(row.at_ms) };
    const list = parked.get(parkedName(record)) ?? [];
    list.push({ entry: readRecord(model, slots, record), reason: row.reason });
    parked.set(parkedName(record), list);
  }
  return parked;
}

/** COPYs one after the other, then the rest in one round trip; the commit waits for every answer. */
async function store(tx: Tx, { model, relayedOf }: TurnInput, turn: { results: readonly SlotResult[]; folded: Folded; state: TurnState }): Promise<void> {
  const { folded, state, results } = turn;
  const dirty = state.rows.dirty();
  if (folded.journal.length > 0) await tx.copyIn(COPY_JOURNAL, folded.journal.map((row) => copyJournalLine(model.stream, row)));
  for (const { table, added } of dirty) {
    if (added.length > 0) await tx.copyIn(copyRowsSql(table), added.map((row) => copyRowLine(table, row)));
  }
  if (folded.parked.length > 0) await tx.copyIn(COPY_PARKED, folded.parked.map((row) => copyParkedLine(model.stream, row)));
  const statements = dirty.filter(({ changed }) => changed.length > 0).map(({ table, changed }) => replaceRows(table, changed));
  if (folded.released.length > 0) statements.push(deleteParked(model.stream, folded.released));
  statements.push(advancePositions(model.stream, advanced(results, relayedOf)));
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
