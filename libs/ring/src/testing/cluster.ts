/** A cluster on paper: a command changes its members, carrying out a plan changes its topology. */
import { assert, type Epoch, type ShardId } from '@millrace/write';
import { spread } from '../place.ts';
import type { Member } from '../member.ts';
import { createTopology, slotsOf, type Topology } from '../topology.ts';
import { applyMoves, type SlotMove } from '../transition.ts';

export interface Cluster {
  readonly topology: Topology;
  readonly members: readonly Member[];
}

export interface Command {
  readonly kind: 'join' | 'leave' | 'stay' | 'weight';
  readonly shard: string;
  readonly weight?: number;
}

export function createCluster(slots: number, shards: readonly string[]): Cluster {
  const ids = shards as readonly ShardId[];
  return { topology: createTopology({ epoch: 1 as Epoch, owners: spread(slots, ids) }), members: ids.map((shard) => ({ shard, weight: 1, state: 'active' })) };
}

/** What the operator wants; no slot has moved yet. */
export function command(cluster: Cluster, { kind, shard, weight }: Command): Cluster {
  const isNew = !cluster.members.some((member) => member.shard === shard);
  assert(isNew === (kind === 'join'), `${kind} ${shard}: ${isNew ? 'no such member' : 'a member already'}`);
  if (kind === 'join') return { ...cluster, members: [...cluster.members, { shard: shard as ShardId, weight: weight ?? 1, state: 'joining' }] };
  const changed = (member: Member): Member => {
    if (kind === 'weight') return { ...member, weight: weight ?? member.weight };
    return { ...member, state: kind === 'leave' ? 'draining' : 'active' };
  };
  return { ...cluster, members: cluster.members.map((member) => (member.shard === shard ? changed(member) : member)) };
}

/** Moves are carried out. Who joined and owns slots is active then; who left and owns none is no member any more. */
export function carryOut({ topology, members }: Cluster, moves: readonly SlotMove[]): Cluster {
  const next = applyMoves(topology, moves);
  const ownsSlots = ({ shard }: Member): boolean => slotsOf(next, shard).length > 0;
  return {
    topology: next,
    members: members
      .filter((member) => member.state !== 'draining' || ownsSlots(member))
      .map((member) => (member.state === 'joining' && ownsSlots(member) ? { ...member, state: 'active' } : member)),
  };
}
