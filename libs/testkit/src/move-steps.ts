/**
 * The steps of a move, as they show in the rows of its shards and of the control database; and a gate before each.
 *
 * At a closed gate the rows stay as the step before has left them: that is the state that a fault is to hit.
 */
import type { Database } from '@millrace/postgres';
import { closeGate, installGates, type Gate, type GateSpec } from './gate.ts';
import type { TestCluster } from './cluster.ts';
import { until } from './until.ts';

export interface MoveEnds {
  readonly slot: number;
  readonly source: string;
  readonly target: string;
}

/**
 * - `prepared`: INCOMING on the target, still ACTIVE on the source
 * - `opened`: MOVING on the source, nothing is copied
 * - `chunk`: the first chunk of a table that has several is copied
 * - `copying`: all chunks but the last are copied
 * - `copied`: every chunk is, nothing is compared
 * - `compared`: all ranges but the last are compared
 * - `catching-up`: a round brings what was written since; there is none where nothing was
 * - `fencing`: the fence is about to commit, and holds the positions: turns of the source wait
 * - `fenced`: MOVED on the source, INCOMING on the target: nobody applies the slot
 * - `activated`: ACTIVE on the target, which the topology does not name; the leader holds the lease's row
 * - `purging`: journal rows of the source are gone, accounts are still there
 * - `purged`: everything is done but the row that says so; the leader holds the lease's row
 */
export type MoveStepName = 'prepared' | 'opened' | 'chunk' | 'copying' | 'copied' | 'compared' | 'catching-up' | 'fencing' | 'fenced' | 'activated' | 'purging' | 'purged';

const closed = new WeakMap<TestCluster, Gate[]>();

/** The mover of this slot waits at the end of the step, whatever move it is of. */
export async function holdAt(cluster: TestCluster, step: MoveStepName, ends: MoveEnds): Promise<Gate> {
  const { where, ...spec } = specOf(step, ends);
  const [control, source, target] = [cluster.control, cluster.shard(ends.source), cluster.shard(ends.target)];
  await Promise.all([installed(control, CONTROL_PLACES), installed(source, SHARD_PLACES), installed(target, SHARD_PLACES)]);
  const gate = await closeGate({ control, source, target }[where], spec);
  closed.set(cluster, [...(closed.get(cluster) ?? []), gate]);
  return gate;
}

/** Opens every gate that `holdAt` has closed, and resolves when no move is open: the end of a test, however it went. */
export async function releaseMoves(cluster: TestCluster): Promise<void> {
  for (const gate of closed.get(cluster) ?? []) await gate.open();
  closed.delete(cluster);
  const isIdle = async (): Promise<boolean> => (await cluster.control.query({ text: `select 1 from move where state not in ('done', 'aborted')` })).length === 0;
  await until('no move is open', isIdle, { deadlineMs: IDLE_DEADLINE_MS });
}

const IDLE_DEADLINE_MS = 240_000;

const SHARD_PLACES = [{ on: 'update', table: 'slot' }, { on: 'update', table: 'incoming' }, { on: 'delete', table: 'account' }] as const;
const CONTROL_PLACES = [{ on: 'insert', table: 'topology' }, { on: 'update', table: 'move' }] as const;
const installations = new WeakMap<Database, Promise<void>>();

function installed(database: Database, places: Parameters<typeof installGates>[1]): Promise<void> {
  const known = installations.get(database) ?? installGates(database, places);
  installations.set(database, known);
  return known;
}

/** The state of the slot on each shard that has a row of it. */
export async function statesOf(cluster: TestCluster, slot: number): Promise<Readonly<Record<string, string>>> {
  const states: Record<string, string> = {};
  for (const { id } of cluster.local.file.shards) {
    const [row] = await cluster.shard(id).query<{ state: string }>({ text: 'select state::text from slot where slot = $1', values: [slot] });
    if (row) states[id] = row.state;
  }
  return states;
}

function specOf(step: MoveStepName, { slot, target }: MoveEnds): GateSpec & { readonly where: 'source' | 'target' | 'control' } {
  const stage = (row: 'old' | 'new'): string => `${row}.progress -> 'stage' ->> 'kind'`;
  const slotTo = (state: string): string => `new.slot = ${slot} and new.state = '${state}' and old.state <> '${state}'`;
  switch (step) {
    case 'prepared':
      return { where: 'source', on: 'update', table: 'slot', when: slotTo('MOVING') };
    case 'opened':
      return { where: 'target', on: 'update', table: 'incoming', when: `new.slot = ${slot} and old.progress = '{}'` };
    case 'chunk':
      return { where: 'target', on: 'update', table: 'incoming', when: `new.slot = ${slot} and ${stage('old')} = 'snapshot' and old.progress -> 'stage' ->> 'after' is not null` };
    case 'copying':
      return { where: 'target', on: 'update', table: 'incoming', when: `new.slot = ${slot} and ${stage('old')} = 'snapshot' and ${stage('new')} = 'check'` };
    case 'copied':
      return { where: 'target', on: 'update', table: 'incoming', when: `new.slot = ${slot} and ${stage('old')} = 'check'` };
    case 'compared':
      return { where: 'target', on: 'update', table: 'incoming', when: `new.slot = ${slot} and ${stage('old')} = 'check' and ${stage('new')} = 'rounds'` };
    case 'catching-up':
      return { where: 'target', on: 'update', table: 'incoming', when: `new.slot = ${slot} and ${stage('old')} = 'rounds'` };
    case 'fencing':
      return { where: 'source', on: 'update', table: 'slot', when: slotTo('MOVED') };
    case 'fenced':
      return { where: 'target', on: 'update', table: 'slot', when: `${slotTo('ACTIVE')} and old.state = 'INCOMING'` };
    case 'activated':
      return { where: 'control', on: 'insert', table: 'topology', when: `new.owners[${slot + 1}] = '${target}'` };
    case 'purging':
      return { where: 'source', on: 'delete', table: 'account', when: `old.slot = ${slot}` };
    case 'purged':
      return { where: 'control', on: 'update', table: 'move', when: `new.slot = ${slot} and new.state = 'done' and old.state <> 'done'` };
  }
}
