import { describe, expect, test } from '@jest/globals';
import type { ShardId } from '@millrace/write';
import { createHashRing } from './hash-ring.ts';

const SLOTS = 4096;
const shards = (...weights: number[]) => weights.map((weight, index) => ({ shard: `s${index}` as ShardId, weight }));

/** How many slots meet each shard first. */
function firstMet(members: ReturnType<typeof shards>): readonly number[] {
  const ring = createHashRing(SLOTS, members);
  const counts = members.map(() => 0);
  for (let slot = 0; slot < SLOTS; slot++) {
    const ways = members.map((_, index) => ring.waysTo(index)[slot]!);
    counts[ways.indexOf(Math.min(...ways))]! += 1;
  }
  return counts;
}

describe('the hash ring', () => {
  test('lets slots meet a shard first in proportion to its weight, roughly', () => {
    const counts = firstMet(shards(1, 1, 2, 4));
    for (const [index, weight] of [1, 1, 2, 4].entries()) {
      expect(counts[index]).toBeGreaterThan((SLOTS * weight * 0.75) / 8);
      expect(counts[index]).toBeLessThan((SLOTS * weight * 1.25) / 8);
    }
  });

  test('leaves the way to a shard as it is where another one joins', () => {
    const [before, after] = [createHashRing(SLOTS, shards(1, 1)), createHashRing(SLOTS, shards(1, 1, 1))];
    expect(after.waysTo(1)).toEqual(before.waysTo(1));
  });

  test('is walked clockwise, and once round at most', () => {
    const ring = createHashRing(SLOTS, [{ shard: 'only' as ShardId, weight: 1e-9 }, { shard: 'much' as ShardId, weight: 1000 }]);
    const ways = ring.waysTo(0);
    expect(Math.min(...ways)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...ways)).toBeLessThan(2 ** 48);
    // One point only: the ways to it are as even as the slots are.
    expect(ways.filter((way) => way < 2 ** 47).length / SLOTS).toBeCloseTo(0.5, 1);
  });
});
