import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { dutyOf, shareOf } from './brake.ts';
import { decide, expectedMs, growthOf, type RoundTime } from './decide.ts';
import { HOLD_LEVEL_MAX, HOLD_MS_MAX } from './limits.ts';

const budget = { stallBudgetMs: 250, level: 0 };
const round = (ms: number, records = 100): RoundTime => ({ ms, records });

describe('after a round', () => {
  test.each([
    ['nothing was measured yet', [], 'again'],
    ['the first was quick', [round(90)], 'fence'],
    ['the first was slow', [round(900)], 'again'],
    ['rounds shrink', [round(900), round(500)], 'again'],
    ['rounds do not shrink', [round(900), round(850)], 'slower'],
    ['rounds grow', [round(500), round(900)], 'slower'],
    ['the last was quick, whatever came before', [round(900), round(95)], 'fence'],
  ] as const)('where %s: %s', (_, rounds, decision) => expect(decide(rounds, budget)).toBe(decision));

  test('a slot that is held as much as may be moves, whatever the rounds take', () => {
    expect(decide([round(900), round(900)], { ...budget, level: HOLD_LEVEL_MAX })).toBe('fence');
  });

  test('a slot that is written faster than it is brought over gets to its fence', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 20, noNaN: true }), fc.integer({ min: 10, max: 100_000 }), fc.integer({ min: 0, max: 200 }), (written, firstMs, fixedMs) => {
        // Each round brings what was written during the one before, at `written` times the speed of bringing it.
        const rounds: RoundTime[] = [round(firstMs)];
        let level = 0;
        for (let i = 0; i < 200; i++) {
          const decision = decide(rounds, { ...budget, level });
          if (decision === 'fence') return true;
          if (decision === 'slower') level += 1;
          rounds.push(round(fixedMs + rounds.at(-1)!.ms * written * shareOf(level, budget.stallBudgetMs)));
        }
        return false;
      }),
    );
  });
});

test('growth is that of the last round', () => {
  expect(growthOf([round(10), round(30)])).toBe(3);
  expect(growthOf([round(10)])).toBe(1);
});

describe('the last delta', () => {
  test('is expected to take what its records took before, and no less than a small round', () => {
    const rounds = [round(500, 10_000), round(20, 100)];
    expect(expectedMs(rounds, 10)).toBe(20);
    expect(expectedMs(rounds, 20_000)).toBe(1_000);
    expect(expectedMs([round(5, 0)], 1_000)).toBe(0);
    expect(expectedMs([], 1_000)).toBe(0);
  });
});

describe('the brake', () => {
  test('holds for a larger share of the time at each level, and for no longer than the stall budget at first', () => {
    const shares = Array.from({ length: HOLD_LEVEL_MAX }, (_, i) => dutyOf(i + 1, 250)).map(({ holdMs, gapMs }) => holdMs / (holdMs + gapMs));
    expect([...shares].sort((a, b) => a - b)).toEqual(shares);
    expect(shares[0]).toBeCloseTo(0.5, 1);
    expect(shares.at(-1)).toBeGreaterThan(0.98);
    for (let level = 1; level <= HOLD_LEVEL_MAX - 3; level++) expect(dutyOf(level, 250).holdMs).toBeLessThan(250);
    expect(dutyOf(HOLD_LEVEL_MAX, 250).holdMs).toBeLessThanOrEqual(HOLD_MS_MAX);
  });
});
