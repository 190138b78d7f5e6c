/** Single moves: asked for by hand, paused, resumed, turned back, verified. */
import type { Database, Tx } from '@millrace/postgres';
import { readTopology } from '@millrace/topology';
import { must, type ShardId, type Slot } from '@millrace/write';
import type { VerifyReport } from '../move/types.ts';
import { addressedAnew } from './addresses.ts';
import { ADMIN, audit, changing } from './change.ts';
import type { ControlContext } from './context.ts';
import { listMembers } from './members.sql.ts';
import { abortMoves, insertMoves, readMove, setPaused, type MoveRecord } from './moves.sql.ts';
import { Refused } from '@millrace/admin';

/** @throws Refused invalid_body, unknown_shard, shard_draining, nothing_to_move, slot_moving */
export async function requestMove({ control, cluster }: ControlContext, { slot, target }: { readonly slot: Slot; readonly target: ShardId }): Promise<MoveRecord> {
  if (slot >= cluster.slots) throw new Refused('invalid_body', `slot ${slot}: this cluster has slots 0 to ${cluster.slots - 1}`);
  const id = await changing(control, async (tx) => {
    await refuseTarget(tx, target);
    const source = must(must(await readTopology(tx), 'a cluster with members has a topology').owners[slot], 'R1: the slot is within the topology');
    if (source === target) throw new Refused('nothing_to_move', `slot ${slot} is on shard ${target}`);
    const [made] = await insertMoves(tx, { plan: null, moves: [{ slot, source, target }], author: ADMIN });
    if (made === undefined) throw new Refused('slot_moving', `slot ${slot} has an open move`, { slots: [slot] });
    await audit(tx, { actor: ADMIN, action: 'move.request', subject: `move ${made.id}`, detail: { slot, source, target } });
    return made.id;
  });
  return known(await readMove(control, id), id);
}

/** A move past its fence is finished before it rests. @throws Refused unknown_move, move_state */
export function pauseMove(context: ControlContext, id: bigint): Promise<MoveRecord> {
  return change(context, { id, action: 'move.pause', work: (tx) => setPaused(tx, { id, paused: true }) });
}

/** A move of a paused plan stays paused with it. @throws Refused unknown_move, move_state */
export function resumeMove(context: ControlContext, id: bigint): Promise<MoveRecord> {
  return change(context, { id, action: 'move.resume', work: (tx) => setPaused(tx, { id, paused: false }) });
}

/** Possible until the target is active. @throws Refused unknown_move, move_state */
export function abortMove(context: ControlContext, id: bigint): Promise<MoveRecord> {
  return change(context, { id, action: 'move.abort', work: async (tx) => (await abortMoves(tx, { id })).length === 1 });
}

/** Compares every row of both sides, range by range until the signal aborts. @throws Refused unknown_move, move_state; PgError where a shard does not answer; the signal's reason. */
export async function verifyMoveNow({ control, shards, verify }: ControlContext, id: bigint, signal: AbortSignal): Promise<VerifyReport> {
  const move = known(await readMove(control, id), id);
  if (move.state !== 'running' || move.phase === 'purging') throw new Refused('move_state', `move ${id} is ${move.state} (${move.phase}): there are not two copies to compare`, { state: move.state });
  const database = addressedAnew(shards);
  return verify({ order: move, database: (shard) => endingWith(signal, database(shard)) });
}

/** Begins no transaction once the signal has aborted. */
function endingWith(signal: AbortSignal, database: Database): Database {
  const transaction: Database['transaction'] = async (work, limits) => {
    signal.throwIfAborted();
    return database.transaction(work, limits);
  };
  return { ...database, transaction };
}

interface MoveChange {
  readonly id: bigint;
  readonly action: string;
  /** False where the move's state does not allow it: nothing is changed. */
  readonly work: (tx: Tx) => Promise<boolean>;
}

async function change({ control }: ControlContext, { id, action, work }: MoveChange): Promise<MoveRecord> {
  await changing(control, async (tx) => {
    const { state, phase } = known(await readMove(tx, id), id);
    if (!(await work(tx))) throw new Refused('move_state', `move ${id} is ${state} (${phase})`, { state });
    await audit(tx, { actor: ADMIN, action, subject: `move ${id}` });
  });
  return known(await readMove(control, id), id);
}

async function refuseTarget(tx: Tx, target: ShardId): Promise<void> {
  const member = (await listMembers(tx)).find(({ shard }) => shard === target);
  if (member === undefined) throw new Refused('unknown_shard', `shard ${target} is not a member`);
  if (member.state === 'draining') throw new Refused('shard_draining', `shard ${target} is draining`);
}

function known(move: MoveRecord | undefined, id: bigint): MoveRecord {
  if (move === undefined) throw new Refused('unknown_move', `there is no move ${id}`);
  return move;
}
