import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { nextPiece } from './piece.ts';

const BOUNDS = { min: 50, max: 5_000 };

test('pieces come to take the time that is wanted, however long a row takes, within their bounds', () => {
  fc.assert(
    fc.property(fc.integer({ min: 50, max: 5_000 }), fc.double({ min: 0.001, max: 1, noNaN: true }), fc.integer({ min: 10, max: 500 }), (first, rowMs, wantedMs) => {
      let rows = first;
      for (let i = 0; i < 10; i++) rows = nextPiece(rows, { tookMs: rows * rowMs, wantedMs }, BOUNDS);
      const right = Math.min(BOUNDS.max, Math.max(BOUNDS.min, wantedMs / rowMs));
      // A piece that takes less than a millisecond tells nothing of its rows.
      if (rows * rowMs >= 1) expect(Math.abs(rows - right)).toBeLessThanOrEqual(1 + right / 100);
    }),
  );
});

test('a piece is four times the one before at most, and what took no time at all is no reason for more', () => {
  expect(nextPiece(100, { tookMs: 0, wantedMs: 400 }, BOUNDS)).toBe(400);
  expect(nextPiece(100, { tookMs: 1_000, wantedMs: 10 }, BOUNDS)).toBe(BOUNDS.min);
  expect(nextPiece(4_000, { tookMs: 1, wantedMs: 400 }, BOUNDS)).toBe(BOUNDS.max);
});
