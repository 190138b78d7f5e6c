/**
 * Placing slots that stand nowhere: those of a new cluster, and those of shards that leave.
 *
 * Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, SODA 2018), with the tightest bound: a slot
 * walks clockwise past the shards that are full, to the first that has room for it within its fair share. Where none
 * has, because slots are whole, it goes where the level is the lowest with it (Graham, Bell System Technical Journal,
 * 1966).
 */
import { assert, must, type ShardId } from '@millrace/write';
import { createPlacement, give, isLower, levelOf, loadOf, type Holder, type Placement } from './placement.ts';

/** Owners by slot, for a cluster that has none yet. Deterministic in the set of shards; their order is irrelevant. */
export function spread(slots: number, shards: readonly ShardId[]): readonly ShardId[] {
  assert(shards.length > 0, 'R1: a topology needs at least one shard');
  const members = shards.map((shard) => ({ shard, weight: 1, state: 'active' }) as const);
  const placement = createPlacement({ members, owners: Array.from({ length: slots }), loads: Array.from({ length: slots }, () => 1) });
  placeHomeless(placement);
  return ownersOf(placement);
}

/** Gives every slot that stands nowhere a holder. */
export function placeHomeless(placement: Placement): void {
  for (const [slot, home] of placement.homes.entries()) {
    if (home === undefined) give(placement, slot, { to: firstWithRoom(placement, slot) ?? lowestWith(placement, slot) });
  }
}

/** Who holds what, by slot. */
export function ownersOf({ holders, loads }: Placement): readonly ShardId[] {
  const owners = new Map(holders.flatMap(({ shard, slots }) => [...slots].map((slot) => [slot, shard] as const)));
  return loads.map((_, slot) => must(owners.get(slot), `R1: slot ${slot} has an owner`));
}

function firstWithRoom(placement: Placement, slot: number): Holder | undefined {
  const load = loadOf(placement.loads, slot);
  return nearest(placement, slot, placement.holders.filter((holder) => !isLower(placement.meanLevel, levelOf(holder, load))));
}

function lowestWith(placement: Placement, slot: number): Holder {
  const load = loadOf(placement.loads, slot);
  const lowest = Math.min(...placement.holders.map((holder) => levelOf(holder, load)));
  return must(nearest(placement, slot, placement.holders.filter((holder) => !isLower(lowest, levelOf(holder, load)))), 'one is the lowest');
}

function nearest({ waysTo }: Placement, slot: number, holders: readonly Holder[]): Holder | undefined {
  const way = (holder: Holder): number => must(waysTo(holder)[slot], 'every slot has a way');
  return holders.reduce<Holder | undefined>((best, holder) => (best && way(best) <= way(holder) ? best : holder), undefined);
}
