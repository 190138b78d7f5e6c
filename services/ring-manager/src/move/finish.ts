/**
 * The fence and what must follow it at once: the last delta, its comparison, and the activation of the target.
 *
 * From the commit of the fence to the commit of the activation nobody applies the slot. So both transactions that the
 * last delta needs are open, with their locks and settings, before the fence begins; and what is compared inside is the
 * delta and the tables that are small. Everything else was compared before, and every delta since.
 */
import { JOURNAL } from '@millrace/slot-processor';
import { PgError, type Tx } from '@millrace/postgres';
import { must } from '@millrace/write';
import { mustEqual, sumBoth } from './compare.ts';
import { applyDelta, type Ends } from './delta.ts';
import { cursorsOf, lockIncoming, readCopyState, type CopyState } from './incoming.ts';
import { BY_INDEX_ONLY, CHUNK_TIMEOUT_MS, FENCE_CHECK_ROWS, LOCK_TIMEOUT_MS } from './limits.ts';
import { OutOfStep, tableOf, type Mover } from './mover.ts';
import { runRound } from './rounds.ts';
import { lockPositions } from './side.ts';
import { changeSideRow, readPositionRows, readSideRow, writePositions, type PositionRow, type SideRow } from './side.sql.ts';
import { READ } from './snapshot.ts';
import { countUpTo, sumOf, type MoveTable } from './table.sql.ts';
import { VerificationFailed, type ComparedTable, type MoveProgress } from './types.ts';

/** What is known of the fence when the last delta begins. */
export interface Fenced {
  readonly positions: readonly PositionRow[];
  /** When it was committed; undefined where nobody has told. */
  readonly at: Date | undefined;
}

/** Brings the last delta and activates the target. `fence` resolves with the positions; undefined gives all up, unchanged. */
export async function activate(mover: Mover, state: CopyState, fence: () => Promise<Fenced | undefined>): Promise<Fenced | undefined> {
  const write = { lockTimeoutMs: LOCK_TIMEOUT_MS, statementTimeoutMs: CHUNK_TIMEOUT_MS, settings: BY_INDEX_ONLY };
  let compared: readonly ComparedTable[] = [];
  let fenced: Fenced | undefined;
  let endedAt: Date | undefined;
  try {
    await mover.source.transaction(async (source) => {
      await mover.target.transaction(async (target) => {
        await Promise.all([lockPositions(mover, mover.target, target), lockIncoming(mover, state, target), source.query(readSideRow(mover.order.slot))]);
        const small = await smallTables(mover, state, source);
        fenced = await fence();
        if (fenced) compared = await takeOver(mover, state, { source, target }, { positions: fenced.positions, small });
      }, write);
      endedAt = new Date();
    }, READ);
  } catch (error) {
    // The rows will tell whether the slot is active; nobody else knows when it became so.
    if (fenced && error instanceof PgError && error.kind === 'unknown-commit') mover.reporter.suppose(activation(state, { fenced, compared, endedAt: endedAt ?? new Date() }));
    throw error;
  }
  if (fenced) await tellActivated(mover, activation(state, { fenced, compared, endedAt: must(endedAt, 'the activation is committed') }));
  return fenced;
}

/** The source is MOVED already: whoever fenced it did not come to the end. */
export async function finishFenced(mover: Mover): Promise<void> {
  const stored = await readCopyState(mover);
  if (!stored || stored.stage.kind !== 'rounds') throw new OutOfStep(`slot ${mover.order.slot} is fenced, but its copy is ${stored?.stage.kind ?? 'not begun'}`);
  const { state } = await runRound(mover, stored, { pass: () => mover.step('round') });
  const positions = await mover.source.query<PositionRow>(readPositionRows(mover.order.slot));
  const at = mover.reporter.fencedAt();
  await activate(mover, state, async () => ({ positions, at }));
}

interface TakeOver {
  readonly positions: readonly PositionRow[];
  /** To be compared as a whole. */
  readonly small: readonly MoveTable[];
}

async function takeOver(mover: Mover, state: CopyState, ends: Ends, { positions, small }: TakeOver): Promise<readonly ComparedTable[]> {
  const { slot, id: move } = mover.order;
  const to = cursorsOf(positions);
  await applyDelta(mover, ends, { from: state.cursors, to }, { compare: true });
  const compared = await Promise.all(small.map((table) => compareWhole(mover, ends, table)));
  const [row] = await Promise.all([ends.target.query<SideRow>(readSideRow(slot)), nothingAbove(mover, ends.target, positions)]);
  const { epoch } = must(row[0], 'the target has the row that this transaction has locked');
  await Promise.all([
    ends.target.query(writePositions(slot, positions)),
    ends.target.query({ name: 'move-incoming-end', text: 'delete from incoming where slot = $1', values: [slot] }),
    ends.target.query(changeSideRow(slot, { state: 'ACTIVE', epoch, movedTo: null, move, token: mover.token })),
  ]);
  await mover.step('activate');
  return [...state.compared.filter(({ table }) => !compared.some((other) => other.table === table)), ...compared];
}

/** The smallest tables, as many as can be read whole inside the fence. Asked just before it: since they were compared they may have grown. */
async function smallTables(mover: Mover, { compared }: CopyState, source: Tx): Promise<readonly MoveTable[]> {
  const wereSmall = compared.filter(({ rows }) => BigInt(rows) <= FENCE_CHECK_ROWS).map(({ table }) => tableOf(mover, table));
  const counted = await Promise.all(wereSmall.map(async (table) => ({ table, rows: await rowsOf(mover, source, table) })));
  let rows = 0;
  return counted.toSorted((a, b) => a.rows - b.rows).filter((table) => (rows += table.rows) <= FENCE_CHECK_ROWS).map(({ table }) => table);
}

async function rowsOf({ order }: Mover, source: Tx, table: MoveTable): Promise<number> {
  const [count] = await source.query<{ rows: bigint }>(countUpTo(table, order.slot, FENCE_CHECK_ROWS + 1));
  return Number(must(count, 'an aggregate has one row').rows);
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

/** What is told of an activation. The stall is by the movers' clocks, where one has fenced and another activated. */
function activation({ rows, bytes, rounds }: CopyState, { fenced: { at }, compared, endedAt }: { readonly fenced: Fenced; readonly compared: readonly ComparedTable[]; readonly endedAt: Date }): Partial<MoveProgress> {
  const stall = at === undefined ? {} : { fencedAt: at.toISOString(), stallMs: Math.max(0, endedAt.getTime() - at.getTime()) };
  return { rows, bytes, rounds, tables: compared, ...stall, activatedAt: endedAt.toISOString() };
}

async function tellActivated({ order, log, reporter }: Mover, told: Partial<MoveProgress>): Promise<void> {
  const { rows, rounds, stallMs } = told;
  log.info({ move: order.id, slot: order.slot, source: order.source, target: order.target, stallMs, rows, rounds }, 'the slot is active on its new shard');
  await reporter.tell('activated', told);
}
