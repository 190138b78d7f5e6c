/** Makes the preview of a plan: from the newest topology, the members, and what the shards hold now. Writes nothing. */
import { createHash } from 'node:crypto';
import { applyMoves, outlook, plan as placement, type Member, type SlotMove, type Topology } from '@millrace/ring';
import { PgError } from '@millrace/postgres';
import { sleep } from '@millrace/runtime';
import { readTopology, UnknownShard } from '@millrace/topology';
import { must, type ShardId, type Slot } from '@millrace/write';
import { addressedAnew } from './addresses.ts';
import type { ControlContext } from './context.ts';
import { estimate } from './estimate.ts';
import { applyChanges, type MemberChange } from './members.ts';
import { listMembers } from './members.sql.ts';
import { openMoves, type MoveRecord } from './moves.sql.ts';
import type { LoadBy, PlanDraft } from './plans.sql.ts';
import { Refused } from '@millrace/admin';
import { readPastMoves, readPositions } from './statistics.sql.ts';

const RATE_SAMPLE_MS = 1_000;

export interface DraftInput {
  readonly by: LoadBy;
  readonly changes: readonly MemberChange[];
  /** Instead of what the ring proposes. */
  readonly moves?: readonly SlotMove[];
  readonly reverseOf?: bigint;
}

interface Weight {
  readonly rows: number;
  readonly bytes: number;
}

/** A shard that is to join needs no address before the start. @throws Refused unknown_shard, last_shard, shard_draining; PgError where a shard does not answer. */
export async function draftPlan(context: ControlContext, input: DraftInput): Promise<PlanDraft> {
  const { control } = context;
  const [records, newest, open] = await Promise.all([listMembers(control), readTopology(control), openMoves(control)]);
  const base = must(newest, 'a cluster that is established has a topology');
  const before = records.map(({ shard, weight, state }) => ({ shard, weight, state }));
  const after = applyChanges(before, input.changes);
  const topology = withOpenMoves(base, open);
  const { bySlot: weights, silent } = await weigh(context, { topology: base, by: input.by });
  const loads = await loadsOf(context, { by: input.by, topology: base, weights });
  const { moves, load, balance, bound } = input.moves === undefined ? placement(topology, after, loads) : { moves: input.moves, ...outlook({ topology, members: after, moves: input.moves, loads }) };
  refuseDraining(moves, after);
  const weighed = moves.map(({ slot, source, target }) => ({ slot, source, target, ...weightOf(weights, slot) }));
  const past = await readPastMoves(control);
  return {
    by: input.by,
    baseEpoch: base.epoch,
    reverseOf: input.reverseOf,
    content: {
      changes: input.changes,
      members: before,
      owners: digestOf(topology),
      moves: weighed,
      load: load.map(({ share: _, ...each }) => each),
      balance,
      bound,
      ...(silent.length === 0 ? {} : { note: `without the rows and bytes of shard ${silent.join(', ')}, which did not answer` }),
      estimate: estimate({ moves: weighed, past, ...context.limits }),
    },
  };
}

/** The ring never fills a shard that is to be emptied; moves that were given may. */
function refuseDraining(moves: readonly SlotMove[], members: readonly Member[]): void {
  const draining = new Set(members.filter(({ state }) => state === 'draining').map(({ shard }) => shard));
  const wrong = moves.find(({ target }) => draining.has(target));
  if (wrong !== undefined) throw new Refused('shard_draining', `slot ${wrong.slot} would go to shard ${wrong.target}, which is draining`);
}

/** Where the slots will be once the moves under way have ended. */
export function withOpenMoves(topology: Topology, open: readonly MoveRecord[]): Topology {
  const ahead = open.filter(({ slot, source, state }) => state !== 'aborting' && topology.owners[slot] === source);
  return ahead.length === 0 ? topology : applyMoves(topology, ahead.map(({ slot, source, target }) => ({ slot, source, target })));
}

/** Two topologies of the same owners have the same, whatever their epochs. */
export function digestOf({ owners }: Topology): string {
  return createHash('sha256').update(owners.join(' ')).digest('hex');
}

interface Weights {
  readonly bySlot: ReadonlyMap<Slot, Weight>;
  /** Shards that did not tell: their slots weigh nothing. */
  readonly silent: readonly ShardId[];
}

/** Where slots alone are evened out, a shard that does not answer keeps nobody from planning. @throws PgError */
async function weigh({ shards, statistics, log }: ControlContext, { topology, by }: { readonly topology: Topology; readonly by: LoadBy }): Promise<Weights> {
  const database = addressedAnew(shards);
  const silent: ShardId[] = [];
  const each = await Promise.all(
    ownersOf(topology).map(async (shard) => {
      try {
        const slots = await statistics(database(shard));
        return slots.filter(({ slot }) => topology.owners[slot] === shard);
      } catch (error) {
        if (by !== 'slots' || !isAbsence(error)) throw error;
        log.warn({ shard, reason: String(error) }, 'a plan is made without the sizes of a shard');
        silent.push(shard);
        return [];
      }
    }),
  );
  return { bySlot: new Map(each.flat().map(({ slot, rows, bytes }) => [slot, { rows: Number(rows), bytes: Number(bytes) }])), silent: silent.sort() };
}

function isAbsence(error: unknown): boolean {
  return (error instanceof PgError && error.kind === 'infrastructure') || error instanceof UnknownShard;
}

/** Of a shard that writes nothing at all, every slot weighs the same. */
async function loadsOf(context: ControlContext, { by, topology, weights }: { by: LoadBy; topology: Topology; weights: ReadonlyMap<Slot, Weight> }): Promise<readonly number[]> {
  const equal = topology.owners.map(() => 1);
  if (by === 'slots') return equal;
  const loads = by === 'bytes' ? topology.owners.map((_, slot) => weightOf(weights, slot as Slot).bytes) : await ratesOf(context, topology);
  return loads.some((load) => load > 0) ? loads : equal;
}

/** Records a second by slot, from two looks at the positions. */
async function ratesOf({ shards }: ControlContext, topology: Topology): Promise<readonly number[]> {
  const look = async () => ({
    atMs: performance.now(),
    positions: new Map(await Promise.all(ownersOf(topology).map(async (shard) => [shard, await readPositions(shards.get(shard))] as const))),
  });
  const first = await look();
  await sleep(RATE_SAMPLE_MS);
  const second = await look();
  const seconds = (second.atMs - first.atMs) / 1_000;
  return topology.owners.map((owner, slot) => {
    const [from, to] = [first, second].map(({ positions }) => positions.get(owner)?.get(slot as Slot) ?? 0n);
    return Math.max(0, Number((to ?? 0n) - (from ?? 0n))) / seconds;
  });
}

function ownersOf({ owners }: Topology): readonly ShardId[] {
  return [...new Set(owners)];
}

function weightOf(weights: ReadonlyMap<Slot, Weight>, slot: Slot): Weight {
  return weights.get(slot) ?? { rows: 0, bytes: 0 };
}

/** Two lists of members by name, weight and state, in any order. */
export function sameMembers(a: readonly Member[], b: readonly Member[]): boolean {
  const text = (members: readonly Member[]): string => members.map(({ shard, weight, state }) => `${shard} ${weight} ${state}`).sort().join('\n');
  return text(a) === text(b);
}
