/**
 * Which shard tells the truth about each slot, from the slot rows of all shards that answer. Pure.
 *
 * A slot that moves is on its way: between its fence and its activation no shard applies it, and what the source holds is
 * still true. Rows that are left behind a move, and copies that are not whole yet, are nobody's.
 */
import type { ShardId, Slot } from '@millrace/write';

export interface Sign {
  readonly slot: Slot;
  readonly state: 'INCOMING' | 'ACTIVE' | 'MOVING' | 'MOVED' | 'ABORTED';
  readonly epoch: bigint;
  readonly moved_to: ShardId | null;
}

export function holdersOf(signs: ReadonlyMap<ShardId, readonly Sign[]>): ReadonlyMap<Slot, ShardId> {
  const all = [...signs].flatMap(([shard, own]) => own.map((sign) => ({ shard, ...sign })));
  return new Map([...Map.groupBy(all, ({ slot }) => slot)].flatMap(([slot, those]) => {
    const holder = holderOf(those);
    return holder === undefined ? [] : [[slot, holder] as const];
  }));
}

function holderOf(signs: readonly (Sign & { readonly shard: ShardId })[]): ShardId | undefined {
  const applies = newest(signs.filter(({ state }) => state === 'ACTIVE' || state === 'MOVING'));
  if (applies) return applies.shard;
  const left = newest(signs.filter(({ state }) => state === 'MOVED'));
  // The target answers, and does not apply it yet: else it would be the one above.
  return left && signs.some(({ shard }) => shard === left.moved_to) ? left.shard : undefined;
}

function newest<T extends Pick<Sign, 'epoch'>>(signs: readonly T[]): T | undefined {
  return signs.reduce<T | undefined>((best, sign) => (best === undefined || sign.epoch > best.epoch ? sign : best), undefined);
}
