/**
 * The fence and what must follow it at once: the last delta, its comparison, and the activation of the target.
 *
 * From the commit of the fence to the commit of the activation nobody applies the slot. So both transactions that the
 * last delta needs are open, with their locks and settings, before the fence begins; and what is compared inside is the
 * delta and the tables that are small. Everything else was compared before, and every delta since.
 */
import { JOURNAL } from '@millrace/slot-processor';
import type { Tx } from '@millrace/postgres';
import { mustEqual, sumBoth } from './compare.ts';
import { applyDelta, type Ends } from './delta.ts';
import { cursorsOf, lockIncoming, readCopyState, type CopyState } from './incoming.ts';
import { BY_INDEX_ONLY, CHUNK_TIMEOUT_MS, FENCE_CHECK_ROWS, LOCK_TIMEOUT_MS } from './limits.ts';
import { OutOfStep, type Mover } from './mover.ts';
import { runRound } from './rounds.ts';
import { changeSideRow, readPositionRows, readSideRow, writePositions, type PositionRow, type SideRow } from './side.sql.ts';
import { READ, tableOf } from './snapshot.ts';
import { sumOf, type MoveTable } from './table.sql.ts';
import { VerificationFailed, type ComparedTable } from './types.ts';

/** What is known of the fence when the last delta begins. */
export interface Fenced {
  readonly positions: readonly PositionRow[];
  readonly atMs: number;
  readonly at: Date;
}

/** Brings the last delta and activates the target. `fence` resolves with the positions; undefined gives all up, unchanged. */
export async function activate(mover: Mover, state: CopyState, fence: () => Promise<Fenced | undefined>): Promise<Fenced | undefined> {
  const write = { lockTimeoutMs: LOCK_TIMEOUT_MS, statementTimeoutMs: CHUNK_TIMEOUT_MS, settings: BY_INDEX_ONLY };
  let compared: readonly ComparedTable[] = [];
  let endedAtMs = 0;
  const fenced = await mover.source.transaction(async (source) => {
    const done = await mover.target.transaction(async (target) => {
      await Promise.all([lockIncoming(mover, state, target), source.query(readSideRow(mover.order.slot))]);
      const begun = await fence();
      if (begun) compared = await takeOver(mover, state, { source, target }, begun.positions);
      return begun;
    }, write);
    endedAtMs = performance.now();
    return done;
  }, READ);
  if (fenced) await tellActivated(mover, state, { tables: compared, stallMs: Math.round(endedAtMs - fenced.atMs), fencedAt: fenced.at });
  return fenced;
}

/** The source is MOVED already: whoever fenced it did not come to the end. */
export async function finishFenced(mover: Mover): Promise<void> {
  const stored = await readCopyState(mover);
  if (!stored || stored.stage.kind !== 'rounds') throw new OutOfStep(`slot ${mover.order.slot} is fenced, but its copy is ${stored?.stage.kind ?? 'not begun'}`);
  const { state } = await runRound(mover, stored, () => mover.step('round'));
  const positions = await mover.source.query<PositionRow>(readPositionRows(mover.order.slot));
  await activate(mover, state, async () => ({ positions, atMs: performance.now(), at: new Date() }));
}

async function takeOver(mover: Mover, state: CopyState, ends: Ends, positions: readonly PositionRow[]): Promise<readonly ComparedTable[]> {
  const { slot, id: move } = mover.order;
  const to = cursorsOf(positions);
  await applyDelta(mover, ends, { from: state.cursors, to }, { compare: true });
  const compared = await Promise.all(smallTables(mover, state).map((table) => compareWhole(mover, ends, table)));
  const [row] = await Promise.all([ends.target.query<SideRow>(readSideRow(slot)), nothingAbove(mover, ends.target, positions)]);
  const epoch = row[0]?.epoch ?? 0n;
  await Promise.all([
    ends.target.query(writePositions(slot, positions)),
    ends.target.query({ name: 'move-incoming-end', text: 'delete from incoming where slot = $1', values: [slot] }),
    ends.target.query(changeSideRow(slot, { state: 'ACTIVE', epoch, movedTo: null, move, token: mover.token })),
  ]);
  await mover.step('activate');
  return [...state.compared.filter(({ table }) => !compared.some((other) => other.table === table)), ...compared];
}

/** The smallest tables, as many as can be read whole inside the fence. */
function smallTables(mover: Mover, { compared }: CopyState): readonly MoveTable[] {
  const bySize = [...compared].sort((a, b) => Number(a.rows) - Number(b.rows));
  let rows = 0;
  return bySize.filter((table) => (rows += Number(table.rows)) <= FENCE_CHECK_ROWS).map(({ table }) => tableOf(mover, table));
}

async function compareWhole(mover: Mover, ends: Ends, table: MoveTable): Promise<ComparedTable> {
  const sums = await sumBoth(ends, sumOf(table, mover.order.slot, 'true'));
  mustEqual(mover, table, 'all rows', sums);
  return { table: table.name, rows: sums.source.rows.toString(), checksum: sums.source.checksum.toString(), when: 'in_fence' };
}

/** W1: the journal ends where the positions say. */
async function nothingAbove(mover: Mover, target: Tx, positions: readonly PositionRow[]): Promise<void> {
  const { order } = mover;
  const found = await target.query<{ stream: string; offset: bigint }>({
    name: 'move-nothing-above',
    text: `select j.stream, j."offset" from unnest($2::stream[], $3::bigint[]) as p(stream, next)
           cross join lateral (select * from journal j where j.slot = $1 and j.stream = p.stream and j."offset" >= p.next order by j."offset" limit 1) j`,
    values: [order.slot, positions.map((p) => p.stream), positions.map((p) => p.next_offset)],
  });
  const row = found[0];
  if (!row) return;
  throw new VerificationFailed(order, `table ${JOURNAL.name}: ${order.target} has a row of stream ${row.stream} at offset ${row.offset}, where ${order.source} has applied nothing yet`);
}

async function tellActivated({ order, log, reporter }: Mover, { rows, bytes, rounds }: CopyState, told: { readonly stallMs: number; readonly fencedAt: Date; readonly tables: readonly ComparedTable[] }): Promise<void> {
  const { stallMs, tables } = told;
  log.info({ move: order.id, slot: order.slot, source: order.source, target: order.target, stallMs, rows, rounds }, 'the slot is active on its new shard');
  await reporter.tell('activated', { rows, bytes, rounds, tables, stallMs, fencedAt: told.fencedAt.toISOString(), activatedAt: new Date().toISOString() });
}
