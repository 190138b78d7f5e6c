/** What each shard carries before and after moves. Pure. */
import type { Member, SlotMove, Topology } from '@millrace/ring';
import type { ShardId } from '@millrace/write';
import type { ShardLoad } from './plans.sql.ts';

export interface Outlook {
  readonly load: readonly ShardLoad[];
  /** Largest load by weight over the mean, of the members that are to keep slots; 1 is even. */
  readonly balance: number;
}

/** `loads` by slot. Members that are draining count for what they still hold. */
export function outlook({ topology, members, loads, moves }: { topology: Topology; members: readonly Member[]; loads: readonly number[]; moves: readonly SlotMove[] }): Outlook {
  const before = sums(topology.owners, loads);
  const targets = new Map(moves.map(({ slot, target }) => [slot as number, target]));
  const after = sums(topology.owners.map((owner, slot) => targets.get(slot) ?? owner), loads);
  const load = members.map(({ shard, weight }) => ({ shard, weight, before: before.get(shard) ?? 0, after: after.get(shard) ?? 0 }));
  return { load, balance: balanceOf(load, members) };
}

function balanceOf(load: readonly ShardLoad[], members: readonly Member[]): number {
  const staying = new Set(members.filter(({ state }) => state !== 'draining').map(({ shard }) => shard));
  const kept = load.filter(({ shard }) => staying.has(shard));
  const mean = total(kept.map(({ after }) => after)) / total(kept.map(({ weight }) => weight));
  if (!(mean > 0)) return 1;
  return Math.max(...kept.map(({ after, weight }) => after / weight)) / mean;
}

function sums(owners: readonly ShardId[], loads: readonly number[]): ReadonlyMap<ShardId, number> {
  const result = new Map<ShardId, number>();
  owners.forEach((owner, slot) => result.set(owner, (result.get(owner) ?? 0) + (loads[slot] ?? 0)));
  return result;
}

function total(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
