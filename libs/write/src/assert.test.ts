import { describe, expect, test } from '@jest/globals';
import { assert, AssertionFailed, must } from './assert.ts';

describe('assertions', () => {
  test('a broken condition names its invariant', () => {
    expect(() => assert(false, 'W1')).toThrow(new AssertionFailed('W1'));
    expect(() => assert(true, 'W1')).not.toThrow();
  });

  test('only null and undefined are absent', () => {
    for (const present of [0, '', false, 0n]) expect(must(present, 'present')).toBe(present);
    for (const absent of [null, undefined]) expect(() => must(absent, 'absent')).toThrow(AssertionFailed);
  });
});
