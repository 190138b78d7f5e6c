/** A placement under way: which shard holds which slot by now. It changes in place, and never leaves this library. */
import { assert, must, type ShardId } from '@millrace/write';
import { createHashRing } from './hash-ring.ts';
import { ableMembers, type Member } from './member.ts';

/** A shard that may own slots. */
export interface Holder extends Member {
  /** Its place among the holders, who are ordered by name. */
  readonly index: number;
  readonly slots: Set<number>;
  /** The sum over its slots. */
  load: number;
}

export interface Placement {
  readonly holders: readonly Holder[];
  /** Load by slot. */
  readonly loads: readonly number[];
  /** Who held a slot at the start, by slot; nobody where its shard leaves, or the cluster is new. */
  readonly homes: readonly (Holder | undefined)[];
  /** Whether shards join, or leave slots behind. */
  readonly isChange: boolean;
  /** The load that a holder of weight 1 bears where all bear the same for their weight. */
  readonly meanLevel: number;
  /** By slot: how far round the ring it meets a holder; the nearer, the better. */
  readonly waysTo: (holder: Holder) => Float64Array;
}

/** Below this part of them, two levels are one: sums of floating point are not exact. */
const EPSILON = 1e-9;

/**
 * Every slot stands where it stood, unless its owner may own none: then nowhere.
 * @throws LastShard where no member may own slots.
 */
export function createPlacement({ members, owners, loads }: { members: readonly Member[]; owners: readonly (ShardId | undefined)[]; loads: readonly number[] }): Placement {
  assert(loads.length === owners.length, 'every slot has a load');
  const holders: readonly Holder[] = ableMembers(members).map((member, index) => ({ ...member, index, slots: new Set<number>(), load: 0 }));
  const byShard = new Map(holders.map((holder) => [holder.shard, holder]));
  const homes = owners.map((owner) => (owner === undefined ? undefined : byShard.get(owner)));
  for (const [slot, home] of homes.entries()) if (home) add(home, slot, loads);
  const ring = createHashRing(loads.length, holders);
  return {
    holders,
    loads,
    homes,
    isChange: homes.includes(undefined) || holders.some(({ state }) => state === 'joining'),
    meanLevel: sum(loads) / sum(holders.map(({ weight }) => weight)),
    waysTo: ({ index }) => ring.waysTo(index),
  };
}

/** A slot goes to a holder from another one, or from nowhere. */
export function give({ loads }: Placement, slot: number, { from, to }: { from?: Holder; to: Holder }): void {
  if (from) {
    assert(from.slots.delete(slot), 'R1: one holder gives what it holds');
    from.load -= loadOf(loads, slot);
  }
  add(to, slot, loads);
}

/** What a holder bears for its weight, were its load higher by `more`. */
export function levelOf({ load, weight }: Holder, more = 0): number {
  return (load + more) / weight;
}

/** Lower by more than the noise of sums. */
export function isLower(a: number, b: number): boolean {
  return a < b * (1 - EPSILON);
}

export function loadOf(loads: readonly number[], slot: number): number {
  return must(loads[slot], 'every slot has a load');
}

/** Whether slots stand nowhere at the start, or shards that join got some. */
export function isChanged({ homes, holders }: Placement): boolean {
  return homes.includes(undefined) || holders.some((holder) => holder.state === 'joining' && [...holder.slots].some((slot) => homes[slot] !== holder));
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function add(holder: Holder, slot: number, loads: readonly number[]): void {
  holder.slots.add(slot);
  holder.load += loadOf(loads, slot);
}
