import { expect, test } from '@jest/globals';
import { assertLimits, limits } from './limits.ts';

test('the limits do not contradict each other', () => {
  expect(() => assertLimits(limits)).not.toThrow();
});

test('limits that contradict each other are found', () => {
  const broken: Partial<Record<keyof typeof limits, number>>[] = [{ lineBytesMax: 2 ** 30 }, { inFlightRecordsMax: 10 ** 9 }, { inFlightRecordsMax: limits.waitersMax }, { connectionsMax: limits.waitersMax }, { drainTimeoutMs: 1 }, { stallMs: 10 ** 6 }, { returnsCountedMax: limits.returnsMax }];
  for (const change of broken) expect(() => assertLimits({ ...limits, ...change })).toThrow();
});
