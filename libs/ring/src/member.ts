/** Members of the ring: the shards that own slots, are to own slots, or are to give them up. */
import { assert, type ShardId } from '@millrace/write';

/** A shard that is `joining` or `active` may own slots; one that is `draining` or `gone` may not. */
export type MemberState = 'joining' | 'active' | 'draining' | 'gone';

export interface Member {
  readonly shard: ShardId;
  /** Over 0. A shard of weight 2 is to bear twice the load of one of weight 1. */
  readonly weight: number;
  readonly state: MemberState;
}

/** No member may own slots. An operator adds one, or keeps one of those that leave. */
export class LastShard extends Error {
  override readonly name = 'LastShard';
  readonly code = 'last_shard';
  readonly retryable = false;

  constructor(members: readonly Member[]) {
    const states = members.map(({ shard, state }) => `${shard} is ${state}`).join(', ');
    super(`no shard may own slots: ${states || 'there is no member'}; add a shard first`);
  }
}

/** The members that may own slots, by name. @throws LastShard where there is none. */
export function ableMembers(members: readonly Member[]): readonly Member[] {
  assert(new Set(members.map(({ shard }) => shard)).size === members.length, 'R1: a shard is named once');
  assert(members.every(({ weight }) => weight > 0 && Number.isFinite(weight)), 'a weight is a number over 0');
  const able = members.filter(({ state }) => state === 'joining' || state === 'active');
  if (able.length === 0) throw new LastShard(members);
  return able.sort((a, b) => (a.shard < b.shard ? -1 : 1));
}
