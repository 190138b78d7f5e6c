import { describe, expect, test } from '@jest/globals';
import type { Member } from '@millrace/ring';
import type { ShardId, Slot } from '@millrace/write';
import { BYTES_PER_SECOND_DEFAULT, estimate, STALL_MS_DEFAULT } from './estimate.ts';
import { applyChanges } from './members.ts';

const limits = { movesPerPair: 2, movesMax: 8, bytesPerSecondMax: 1_000_000_000 };
const unknown = { bytesPerSecond: null, stallMs: null };
const [a, b, c] = ['a', 'b', 'c'] as ShardId[] as [ShardId, ShardId, ShardId];

function moves(count: number, bytes: number, target = b) {
  return Array.from({ length: count }, (_, slot) => ({ slot: slot as Slot, source: a, target, rows: 10, bytes }));
}

describe('the estimate of a plan', () => {
  test('is from documented defaults before any move has ended', () => {
    expect(estimate({ moves: moves(1, 10 * BYTES_PER_SECOND_DEFAULT), past: unknown, ...limits })).toEqual({ seconds: 11, stall_ms: STALL_MS_DEFAULT, rows: 10, bytes: 10 * BYTES_PER_SECOND_DEFAULT });
  });

  test('is from what moves have shown', () => {
    expect(estimate({ moves: moves(1, 1_000_000), past: { bytesPerSecond: 100_000, stallMs: 41.6 }, ...limits })).toMatchObject({ seconds: 11, stall_ms: 42 });
  });

  test('counts what moves at once: by pair, in all, and by the bytes that all may copy', () => {
    const past = { bytesPerSecond: 1_000_000, stallMs: null };
    expect(estimate({ moves: moves(10, 10_000_000), past, ...limits }).seconds).toBe(55);
    expect(estimate({ moves: [...moves(5, 10_000_000), ...moves(5, 10_000_000, c)], past, ...limits }).seconds).toBe(28);
    expect(estimate({ moves: [...moves(5, 10_000_000), ...moves(5, 10_000_000, c)], past, ...limits, movesMax: 1 }).seconds).toBe(110);
    expect(estimate({ moves: moves(10, 10_000_000), past, ...limits, bytesPerSecondMax: 1_000_000 }).seconds).toBe(105);
  });

  test('of nothing is nothing', () => {
    expect(estimate({ moves: [], past: unknown, ...limits })).toMatchObject({ seconds: 0, rows: 0, bytes: 0 });
  });
});

describe('changes of members', () => {
  const members: readonly Member[] = [{ shard: a, weight: 1, state: 'active' }, { shard: b, weight: 2, state: 'draining' }];

  test('keep what they do not name, and make who is no member one that joins', () => {
    expect(applyChanges(members, [{ shard: a, weight: 5 }, { shard: b, state: 'active' }, { shard: c }])).toEqual([
      { shard: a, weight: 5, state: 'active' }, { shard: b, weight: 2, state: 'active' }, { shard: c, weight: 1, state: 'joining' },
    ]);
  });

  test('never leave the cluster without a shard that keeps slots', () => {
    expect(() => applyChanges(members, [{ shard: a, state: 'draining' }])).toThrow('draining');
    expect(applyChanges(members, [{ shard: a, state: 'draining' }, { shard: c }])).toHaveLength(3);
    expect(() => applyChanges(members, [{ shard: c, state: 'draining' }])).toThrow('no member');
  });
});
