/** What changes of the members make of them. Pure. */
import type { Member } from '@millrace/ring';
import type { ShardId } from '@millrace/write';
import { Refused } from '@millrace/admin';

/** A wish: a weight, a state, or both; of a shard that is no member, that it joins. */
export interface MemberChange {
  readonly shard: ShardId;
  readonly weight?: number;
  readonly state?: 'active' | 'draining';
}

export const WEIGHT_DEFAULT = 1;

/** @throws Refused unknown_shard, last_shard, invalid_body. */
export function applyChanges(members: readonly Member[], changes: readonly MemberChange[]): readonly Member[] {
  const next = new Map(members.map((member) => [member.shard, member]));
  const named = new Set<ShardId>();
  for (const change of changes) {
    if (named.has(change.shard)) throw new Refused('invalid_body', `shard ${change.shard} is named twice`);
    named.add(change.shard);
    next.set(change.shard, changed(next.get(change.shard), change));
  }
  const after = [...next.values()];
  const stays = after.some(({ state }) => state === 'joining' || state === 'active');
  if (!stays) throw new Refused('last_shard', 'every other member is draining');
  return after;
}

function changed(member: Member | undefined, { shard, weight, state }: MemberChange): Member {
  if (member !== undefined) return { ...member, weight: weight ?? member.weight, state: state ?? member.state };
  if (state === 'draining') throw new Refused('unknown_shard', `shard ${shard} is no member: it cannot be drained`);
  return { shard, weight: weight ?? WEIGHT_DEFAULT, state: 'joining' };
}

/** The shards that the changes would make members. */
export function joiningBy(members: readonly Member[], changes: readonly MemberChange[]): readonly ShardId[] {
  return changes.map(({ shard }) => shard).filter((shard) => !members.some((member) => member.shard === shard));
}
