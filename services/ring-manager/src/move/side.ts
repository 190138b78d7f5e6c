/**
 * The changes of state of a move, each one transaction on one shard, each safe to repeat.
 *
 * R5 each locks the slot's row and finds its token there. On the source the position rows of every stream come first:
 * no turn that saw the state before is still under way when it changes.
 */
import type { Database, Sql, Tx } from '@millrace/postgres';
import type { SlotState } from '@millrace/ring';
import { must } from '@millrace/write';
import { evictBlockers, type Evicted } from './evict.sql.ts';
import { HOLDING_IDLE_MS, LOCK_TIMEOUT_MS, STALLED_MS } from './limits.ts';
import { OutOfStep, type Mover } from './mover.ts';
import { addSideRow, changeSideRow, lockPositionRows, lockSideRow, writeToken, type PositionRow, type SideRow } from './side.sql.ts';
import { Superseded } from './types.ts';

/** Who drives which move. */
export type Driver = Pick<Mover, 'order' | 'token' | 'log'>;

/**
 * Writes the token into the target's row, then into the source's: from then on nobody with an older one writes there.
 * A target that never had the slot gets a row for it, so that a late prepare finds the token too. @throws Superseded
 */
export async function claim(mover: Driver, { source, target }: { readonly source: Database; readonly target: Database }): Promise<void> {
  await claimOn(mover, target, [addSideRow(mover.order.slot)]);
  await claimOn(mover, source);
}

/** The same on one shard; what its row says, where it has one. @throws Superseded */
export async function claimOn(mover: Driver, database: Database, first: readonly Sql[] = []): Promise<SideRow | undefined> {
  const { slot } = mover.order;
  return changing(database, async (tx) => {
    const row = await lockRow(mover, database, tx, first);
    if (row && row.token > mover.token) throw new Superseded(`slot ${slot} on ${database.name} has token ${row.token}, above ${mover.token}`);
    if (row && row.token !== mover.token) await tx.query(writeToken(slot, mover.token));
    return row;
  });
}

/** The target begins to take the slot in: its row becomes INCOMING, with an empty record of how far the copy is. */
export async function prepare(mover: Driver, target: Database, sourceEpoch: bigint): Promise<void> {
  const { id: move, slot } = mover.order;
  await changing(target, async (tx) => {
    const row = await lockToken(mover, target, tx);
    if (row.state === 'INCOMING' && row.move === move) return;
    if (!isOfEarlier(row, move)) throw new OutOfStep(`slot ${slot} on ${target.name} is ${row.state} by move ${row.move}`);
    void tx.query(changeSideRow(slot, { state: 'INCOMING', epoch: sourceEpoch + 1n, movedTo: null, move, token: mover.token }));
    await tx.query({ text: `insert into incoming (slot, progress) values ($1, '{}') on conflict (slot) do update set progress = '{}'`, values: [slot] });
  });
}

/** From now on every turn of the slot notes what it changes. */
export async function open(mover: Driver, source: Database): Promise<void> {
  const { id: move, slot } = mover.order;
  await changing(source, async (tx) => {
    await lockPositions(mover, source, tx);
    const row = await lockToken(mover, source, tx);
    if (row.state === 'MOVING' && row.move === move) return;
    if (row.state !== 'ACTIVE') throw new OutOfStep(`slot ${slot} on ${source.name} is ${row.state} by move ${row.move}`);
    await tx.query(changeSideRow(slot, { state: 'MOVING', epoch: row.epoch, movedTo: null, move, token: mover.token }));
  });
}

/**
 * The source refuses the slot from now on. `fits` looks at the positions under their locks: where it says no, nothing
 * changes. Resolves with the positions of the fence; undefined where it did not fit.
 */
export async function fence(mover: Driver, source: Database, fits: (positions: readonly PositionRow[]) => boolean): Promise<readonly PositionRow[] | undefined> {
  const { slot, target } = mover.order;
  return changing(source, async (tx) => {
    const locked = lockPositions(mover, source, tx);
    const row = lockOwn(mover, source, tx, ['MOVING']);
    const [positions, { epoch }] = await Promise.all([locked, row]);
    if (!fits(positions)) return undefined;
    await tx.query(changeSideRow(slot, { state: 'MOVED', epoch, movedTo: target, move: mover.order.id, token: mover.token }));
    return positions;
  });
}

/** The target gives up what it took in, or has lost with its disk; the copy is never used. */
export async function reject(mover: Driver, target: Database, sourceEpoch: bigint): Promise<void> {
  const { id: move, slot } = mover.order;
  await changing(target, async (tx) => {
    const row = await lockToken(mover, target, tx);
    const isLost = isOfEarlier(row, move);
    if (!isLost) mustBe(mover, target, row, ['INCOMING', 'ABORTED']);
    void tx.query(changeSideRow(slot, { state: 'ABORTED', epoch: isLost ? sourceEpoch + 1n : row.epoch, movedTo: null, move, token: mover.token }));
    await tx.query({ text: 'delete from incoming where slot = $1', values: [slot] });
  });
}

/** The source owns the slot again, after the target has given it up; its epoch is above the target's. */
export async function reactivate(mover: Driver, source: Database, epoch: bigint): Promise<void> {
  const { slot } = mover.order;
  await changing(source, async (tx) => {
    await lockPositions(mover, source, tx);
    await lockOwn(mover, source, tx, ['MOVING', 'MOVED']);
    await tx.query(changeSideRow(slot, { state: 'ACTIVE', epoch, movedTo: null, move: null, token: mover.token }));
  });
}

/** R5: locks the slot's row and finds this move and this token in it. @throws Superseded; OutOfStep where its state is another */
export async function lockOwn(mover: Driver, database: Database, tx: Tx, states: readonly SlotState[]): Promise<SideRow> {
  const row = await lockToken(mover, database, tx);
  mustBe(mover, database, row, states);
  return row;
}

/** With its own token nobody but this mover has changed the row: an attempt whose commit it did not learn of. @throws OutOfStep */
function mustBe({ order: { id, slot } }: Driver, database: Database, row: SideRow, states: readonly SlotState[]): void {
  if (row.move !== id || !states.includes(row.state)) throw new OutOfStep(`slot ${slot} on ${database.name} is ${row.state} by move ${row.move}`);
}

/** No move has the row now, and none that is later than this one has had it. */
function isOfEarlier({ state, move }: SideRow, id: bigint): boolean {
  return (state === 'MOVED' || state === 'ABORTED') && (move === null || move < id);
}

/** R5: locks the slot's row and finds this token in it, whatever else it says. @throws Superseded; OutOfStep where the shard has lost what the claim wrote */
export async function lockToken(mover: Driver, database: Database, tx: Tx): Promise<SideRow> {
  const row = await lockRow(mover, database, tx);
  const { slot } = mover.order;
  if (!row || row.token < mover.token) throw new OutOfStep(`slot ${slot} on ${database.name} has ${row ? `token ${row.token}` : 'no row'} after a claim with token ${mover.token}`);
  if (row.token > mover.token) throw new Superseded(`slot ${slot} on ${database.name} has token ${row.token}, not ${mover.token}`);
  return row;
}

/** A transaction that waits for locks longer than whoever holds them may sleep, and may not sleep itself. */
export function changing<T>(database: Database, work: (tx: Tx) => Promise<T>): Promise<T> {
  return database.transaction(work, { lockTimeoutMs: LOCK_TIMEOUT_MS, settings: { idle_in_transaction_session_timeout: String(HOLDING_IDLE_MS) } });
}

/** What is asked `first` may wait for the row as well: an insert beside one that is being changed does. */
async function lockRow(mover: Driver, database: Database, tx: Tx, first: readonly Sql[] = []): Promise<SideRow | undefined> {
  const rows = await waking(mover, database, tx, async () => {
    for (const sql of first) void tx.query(sql);
    return tx.query<SideRow>(lockSideRow(mover.order.slot));
  });
  return rows[0];
}

/** Before the slot's row, wherever both are locked. */
export function lockPositions(mover: Driver, database: Database, tx: Tx): Promise<readonly PositionRow[]> {
  return waking(mover, database, tx, () => tx.query<PositionRow>(lockPositionRows(mover.order.slot)));
}

/** Waits for a lock, and ends the sessions that hold it and sleep. */
async function waking<T>({ log }: Driver, database: Database, tx: Tx, wait: () => Promise<T>): Promise<T> {
  const asked = tx.query<{ pid: number }>({ name: 'move-pid', text: 'select pg_backend_pid() as pid' });
  const evict = async (): Promise<void> => {
    const pid = must((await asked)[0], 'a session has a pid').pid;
    const evicted = await database.query<Evicted>(evictBlockers(pid, STALLED_MS));
    for (const session of evicted) log.warn({ shard: database.name, ...session }, 'a session that slept while a mover waited for its locks was ended');
  };
  const timer = setInterval(() => void evict().catch((error: unknown) => log.warn({ shard: database.name, reason: String(error) }, 'sleeping sessions could not be ended')), STALLED_MS);
  try {
    return await wait();
  } finally {
    clearInterval(timer);
  }
}

