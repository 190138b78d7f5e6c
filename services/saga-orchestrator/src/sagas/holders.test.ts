import { describe, expect, test } from '@jest/globals';
import type { ShardId, Slot } from '@millrace/write';
import { holdersOf, type Sign } from './holders.ts';

const [a, b] = ['a', 'b'] as unknown as [ShardId, ShardId];
const slot = 3 as Slot;
const sign = (state: Sign['state'], epoch: bigint, movedTo: ShardId | null = null): readonly Sign[] => [{ slot, state, epoch, moved_to: movedTo }];
const holder = (signs: Readonly<Record<string, readonly Sign[]>>): ShardId | undefined => holdersOf(new Map(Object.entries(signs)) as Map<ShardId, readonly Sign[]>).get(slot);

describe('the holder of a slot', () => {
  test('is the shard that applies it, moving or not', () => {
    expect(holder({ a: sign('ACTIVE', 1n) })).toBe(a);
    expect(holder({ a: sign('MOVING', 1n), b: sign('INCOMING', 2n) })).toBe(a);
  });

  test('is the source between fence and activation, where nobody applies it', () => {
    expect(holder({ a: sign('MOVED', 1n, b), b: sign('INCOMING', 2n) })).toBe(a);
    expect(holder({ a: sign('MOVED', 1n, b), b: sign('ABORTED', 2n) })).toBe(a);
  });

  test('is the target once it is active: what the source still has is nobody’s', () => {
    expect(holder({ a: sign('MOVED', 1n, b), b: sign('ACTIVE', 2n) })).toBe(b);
  });

  test('is not known while the target does not answer: the source may be left behind', () => {
    expect(holder({ a: sign('MOVED', 1n, b) })).toBeUndefined();
    expect(holder({})).toBeUndefined();
  });

  test('is the newer of two that were asked before and behind a move', () => {
    expect(holder({ a: sign('MOVING', 1n), b: sign('ACTIVE', 2n) })).toBe(b);
  });
});
