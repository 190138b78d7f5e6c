import { describe, expect, test } from '@jest/globals';
import { waitMsOf } from './prefer.ts';

describe('Prefer', () => {
  test.each([
    ['wait=5', 5_000],
    ['respond-async, wait=2', 2_000],
    ['wait = 3; foo', 3_000],
    ['return=minimal; q=1, WAIT="4"', 4_000],
    ['wait=0', 0],
    ['wait=100000000', 30_000],
  ])('%s waits %d ms', (header, expected) => {
    expect(waitMsOf(header, 30_000)).toBe(expected);
  });

  test.each(['wait', 'wait=', 'wait=-1', 'wait=1.5', 'wait=abc', 'await=5', 'wait=99999999999999999999', ''])('%s asks for nothing', (header) => {
    expect(waitMsOf(header, 30_000)).toBeUndefined();
  });

  test('several headers are one list', () => {
    expect(waitMsOf(['respond-async', 'wait=1'], 30_000)).toBe(1_000);
    expect(waitMsOf(undefined, 30_000)).toBeUndefined();
  });
});
