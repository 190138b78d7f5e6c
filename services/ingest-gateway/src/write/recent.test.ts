import { describe, expect, test } from '@jest/globals';
import type { BodyHash, Digest, Offset } from '@millrace/write';
import { createRecentWrites, type RecentWrite } from './recent.ts';

const digest = (n: number): Digest => String(n).padStart(32, '0') as Digest;
const write = (n: number): RecentWrite => ({ bodyHash: BigInt(n) as BodyHash, receipt: `receipt-${n}`, offset: BigInt(n) as Offset });

describe('recent writes', () => {
  test('holds no more than its limit, whatever comes', () => {
    const recent = createRecentWrites(100);
    for (let n = 0; n < 10_000; n += 1) {
      recent.add(digest(n), write(n));
      expect(recent.size()).toBeLessThanOrEqual(100);
    }
  });

  test('knows at least the newer half of its limit', () => {
    const recent = createRecentWrites(100);
    for (let n = 0; n < 1_234; n += 1) recent.add(digest(n), write(n));
    for (let n = 1_184; n < 1_234; n += 1) expect(recent.find(digest(n))).toEqual(write(n));
    expect(recent.find(digest(1_000))).toBeUndefined();
  });

  test('what is asked for stays, what is not goes', () => {
    const recent = createRecentWrites(100);
    recent.add(digest(0), write(0));
    for (let n = 1; n < 1_000; n += 1) {
      recent.add(digest(n), write(n));
      if (n % 40 === 0) expect(recent.find(digest(0))).toEqual(write(0));
    }
    expect(recent.find(digest(1))).toBeUndefined();
  });

  test('of two writes under one key the one that the shard sees first stays, whichever is acknowledged first', () => {
    const recent = createRecentWrites(4);
    recent.add(digest(0), write(7));
    recent.add(digest(0), write(9));
    expect(recent.find(digest(0))).toEqual(write(7));
    recent.add(digest(0), write(5));
    expect(recent.find(digest(0))).toEqual(write(5));
    // Also where it is in the old generation by now.
    recent.add(digest(1), write(1));
    recent.add(digest(2), write(2));
    recent.add(digest(0), write(8));
    expect(recent.find(digest(0))).toEqual(write(5));
  });
});
