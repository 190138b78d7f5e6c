/**
 * `plan`: the moves that lead from a topology to a placement that suits the members. Pure and deterministic.
 *
 * 1. A shard keeps what it owns, unless it leaves. 2. What leaving shards own goes round the ring (`place.ts`).
 * 3. The shards even out (`even.ts`).
 */
import { assert, must, type ShardId, type Slot } from '@millrace/write';
import { leastLevel } from './bound.ts';
import { evenOut } from './even.ts';
import { ableMembers, type Member } from './member.ts';
import { ownersOf, placeHomeless } from './place.ts';
import { createPlacement, isChanged, loadOf, sum } from './placement.ts';
import type { Topology } from './topology.ts';
import { applyMoves, type SlotMove } from './transition.ts';

export interface ShardLoad {
  readonly shard: ShardId;
  /** 0 for a shard that owns slots and is no member. */
  readonly weight: number;
  readonly before: number;
  readonly after: number;
  /** Its part of the whole by its weight; 0 for a shard that may own none. */
  readonly share: number;
}

/** What moves come to. */
export interface Outlook {
  /** By name: the shards that may own slots, or own some. */
  readonly load: readonly ShardLoad[];
  /** No placement of whole slots has a lower balance. With equal loads a plan reaches it. */
  readonly bound: number;
  /** The largest load over share afterwards; 1 is even. */
  readonly balance: number;
}

export interface PlacementPlan extends Outlook {
  /** By slot; a slot moves at most once. */
  readonly moves: readonly SlotMove[];
}

/**
 * `loads` by slot, 0 and up, in any unit. Without them, or where all are 0, each slot counts as 1.
 * @throws LastShard where no member may own slots.
 */
export function plan(topology: Topology, members: readonly Member[], loads?: readonly number[]): PlacementPlan {
  const placement = createPlacement({ members, owners: topology.owners, loads: usable(loads, topology.slots) });
  placeHomeless(placement);
  evenOut(placement);
  // Who joins and gets nothing keeps nobody from trading.
  if (placement.isChange && !isChanged(placement)) evenOut({ ...placement, isChange: false });
  const moves = movesBetween(topology.owners, ownersOf(placement));
  return { moves, ...outlook({ topology, members, moves, loads }) };
}

/** Of any moves, planned or given. @throws LastShard where no member may own slots. */
export function outlook({ topology, members, moves, loads }: { topology: Topology; members: readonly Member[]; moves: readonly SlotMove[]; loads?: readonly number[] | undefined }): Outlook {
  const weighed = usable(loads, topology.slots);
  const able = ableMembers(members);
  const weights = able.map(({ weight }) => weight);
  const meanLevel = sum(weighed) / sum(weights);
  const shares = new Map(able.map(({ shard, weight }) => [shard, weight * meanLevel]));
  const load = loadByShard(shares, { members, before: bearing(topology.owners, weighed), after: bearing(applyMoves(topology, moves).owners, weighed) });
  return {
    load,
    bound: leastLevel(weighed, weights) / meanLevel,
    balance: Math.max(...load.filter(({ share }) => share > 0).map(({ after, share }) => after / share)),
  };
}

function usable(loads: readonly number[] | undefined, slots: number): readonly number[] {
  assert(loads === undefined || loads.length === slots, 'every slot has a load');
  assert(loads === undefined || loads.every((load) => load >= 0 && Number.isFinite(load)), 'a load is a number from 0');
  return loads?.some((load) => load > 0) ? loads : Array.from({ length: slots }, () => 1);
}

function movesBetween(before: readonly ShardId[], after: readonly ShardId[]): readonly SlotMove[] {
  return before.flatMap((source, slot) => {
    const target = must(after[slot], `R1: slot ${slot} has an owner`);
    return target === source ? [] : [{ slot: slot as Slot, source, target }];
  });
}

interface Shift {
  readonly members: readonly Member[];
  readonly before: ReadonlyMap<ShardId, number>;
  readonly after: ReadonlyMap<ShardId, number>;
}

function loadByShard(shares: ReadonlyMap<ShardId, number>, { members, before, after }: Shift): readonly ShardLoad[] {
  const weights = new Map(members.map(({ shard, weight }) => [shard, weight]));
  return [...new Set([...shares.keys(), ...before.keys(), ...after.keys()])].sort().map((shard) => ({
    shard,
    weight: weights.get(shard) ?? 0,
    before: before.get(shard) ?? 0,
    after: after.get(shard) ?? 0,
    share: shares.get(shard) ?? 0,
  }));
}

function bearing(owners: readonly ShardId[], loads: readonly number[]): ReadonlyMap<ShardId, number> {
  const sums = new Map<ShardId, number>();
  for (const [slot, owner] of owners.entries()) sums.set(owner, (sums.get(owner) ?? 0) + loadOf(loads, slot));
  return sums;
}
