/**
 * A full comparison on demand: every row of both sides, range by range, with the first keys that differ.
 *
 * It runs beside the mover and the turns. Each range is read in one state of the target and a later one of the source;
 * what turns noted from the target's cursors on is left out, because a round is still to bring it. Behind the activation
 * the target goes on and the source is purged: then only what cannot change any more is compared.
 */
import type { Database, Tx } from '@millrace/postgres';
import { JOURNAL, slotTables } from '@millrace/slot-processor';
import { sumBoth } from './compare.ts';
import { findDifferences } from './differences.ts';
import { cursorsOf, parseCopyState, STREAMS, type CopyState, type Cursors } from './incoming.ts';
import { VERIFY_ROWS } from './limits.ts';
import { notedWithin } from './notes.sql.ts';
import { readPositionRows, readSideRow, type PositionRow, type SideRow } from './side.sql.ts';
import { partOf, SNAPSHOT } from './snapshot.ts';
import { boundOf, isEqual, minus, NO_ROWS, readTables, sumOf, sumOfKeys, type Key, type KeyRange, type MoveTable } from './table.sql.ts';
import type { Difference, DriveInput, MoveOrder, VerifiedTable, VerifyReport } from './types.ts';

/** @throws PgError where a shard does not answer */
export async function verifyMove({ order, database }: { readonly order: MoveOrder; readonly database: DriveInput['database'] }): Promise<VerifyReport> {
  const [source, target] = [database(order.source), database(order.target)];
  const tables: VerifiedTable[] = [];
  let note: string | undefined;
  for (const table of await readTables(source, target)) {
    const verified = await verifyTable({ order, source, target, table });
    note ??= verified.note;
    if (verified.compared) tables.push({ table: table.name, rows: verified.rows, differences: verified.differences });
  }
  return { verified: tables.length > 0 && tables.every(({ differences }) => differences.length === 0), tables, note };
}

interface Pair {
  readonly order: MoveOrder;
  readonly source: Database;
  readonly target: Database;
  readonly table: MoveTable;
}

interface Verified {
  /** False where nothing of the table could be compared. */
  readonly compared: boolean;
  readonly rows: bigint;
  readonly differences: readonly Difference[];
  readonly note?: string;
}

/** What of a table can be compared in the state of the target that a range is read in. */
interface Extent {
  /** The last key that counts; null: all; undefined: none. */
  readonly to: Key | null | undefined;
  /** Of the journal, offsets below. */
  readonly limits: Cursors;
  /** Where the source's notes begin that a round is still to bring; undefined: it notes nothing any more. */
  readonly notes: Cursors | undefined;
  /** Rows of the target alone count. */
  readonly exact: boolean;
  readonly note?: string;
}

async function verifyTable(pair: Pair): Promise<Verified> {
  let all: Verified = { compared: false, rows: 0n, differences: [] };
  for (let after: Key | null = null; ; ) {
    const range: RangeResult = await verifyRange(pair, after);
    all = { compared: all.compared || range.compared, rows: all.rows + range.rows, differences: [...all.differences, ...range.differences], note: all.note ?? range.note };
    if (range.next === null) return all;
    after = range.next;
  }
}

type RangeResult = Verified & { readonly next: Key | null };

function verifyRange({ order, source, target, table }: Pair, after: Key | null): Promise<RangeResult> {
  return target.transaction(async (there) => {
    const extent = await extentOf(order, source, there, table);
    const none = { compared: false, rows: 0n, differences: [], next: null, note: extent.note };
    if (extent.to === undefined) return none;
    // Later than the target's: whatever the target has from beyond its cursors, the source has noted by now.
    return source.transaction((here) => compareRange({ order, table, extent, here, there }, after), SNAPSHOT);
  }, SNAPSHOT);
}

interface Reading {
  readonly order: MoveOrder;
  readonly table: MoveTable;
  readonly extent: Extent;
  readonly here: Tx;
  readonly there: Tx;
}

async function compareRange({ order, table, extent, here, there }: Reading, after: Key | null): Promise<RangeResult> {
  const { slot } = order;
  const left = { after, to: extent.to ?? null };
  const [bound] = await here.query<{ key: string[] }>(boundOf(table, slot, partOf(table, left, extent.limits), VERIFY_ROWS));
  const range: KeyRange = { after, to: bound?.key ?? left.to };
  const where = partOf(table, range, extent.limits);
  const noted = extent.notes ? (await here.query<{ key: Key }>(notedWithin(slot, table, range, extent.notes))).map(({ key }) => key) : [];
  const sides = { source: here, target: there };
  const [all, without] = await Promise.all([
    sumBoth(sides, sumOf(table, slot, where)),
    noted.length === 0 ? { source: NO_ROWS, target: NO_ROWS } : sumBoth(sides, sumOfKeys(table, slot, noted, where)),
  ]);
  const sums = { source: minus(all.source, without.source), target: minus(all.target, without.target) };
  const differences = isEqual(sums.source, sums.target) ? [] : await findDifferences(sides, { table, slot, range, limits: extent.limits, except: noted, exact: extent.exact });
  return {
    compared: true,
    rows: sums.source.rows,
    differences,
    next: bound && differences.length === 0 ? bound.key : null,
    note: extent.note,
  };
}

async function extentOf(order: MoveOrder, source: Database, there: Tx, table: MoveTable): Promise<Extent> {
  const [side] = await there.query<SideRow>(readSideRow(order.slot));
  const nothing = { to: undefined, limits: { writes: 0n, sagas: 0n }, notes: undefined, exact: true };
  if (side?.move !== order.id) return { ...nothing, note: `the move has not begun: ${order.target} has nothing of it` };
  if (side.state === 'ACTIVE') return activeExtent(order, source, there, table);
  if (side.state !== 'INCOMING') return { ...nothing, note: `the slot is ${side.state} on ${order.target}: there is no copy to compare` };
  const [row] = await there.query<{ progress: unknown }>({ text: 'select progress from incoming where slot = $1', values: [order.slot] });
  const state = parseCopyState(row?.progress);
  if (!state) return { ...nothing, note: 'nothing is copied yet' };
  return { to: copiedTo(state, table), limits: state.cursors, notes: state.cursors, exact: true, note: state.stage.kind === 'snapshot' ? 'the copy goes on: what is copied so far was compared' : undefined };
}

/** How much of a table the snapshot has brought. */
function copiedTo({ stage }: CopyState, table: MoveTable): Key | null | undefined {
  if (stage.kind !== 'snapshot') return null;
  if (stage.table === table.name) return stage.after ?? undefined;
  const place = (name: string): number => slotTables.findIndex((other) => other.name === name);
  return place(table.name) < place(stage.table) ? null : undefined;
}

/** The source stands still at its fence. Its journal rows never change, on the target neither; other rows may have. */
async function activeExtent(order: MoveOrder, source: Database, there: Tx, table: MoveTable): Promise<Extent> {
  const read = readPositionRows(order.slot);
  const [fence, now] = await Promise.all([source.query<PositionRow>(read), there.query<PositionRow>(read)]);
  const limits = cursorsOf(fence);
  const still = STREAMS.every((stream) => cursorsOf(now)[stream] === limits[stream]);
  const comparable = still || table.name === JOURNAL.name;
  const note = still
    ? `the slot is active on ${order.target}, which has applied nothing since: every row that ${order.source} still has was compared`
    : `the slot is active on ${order.target} and goes on there: only the journal rows that ${order.source} still has were compared`;
  return { to: comparable ? null : undefined, limits, notes: undefined, exact: false, note };
}
