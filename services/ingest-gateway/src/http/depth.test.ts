import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { nestsDeeperThan } from './depth.ts';

const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

describe('nesting depth', () => {
  test('the limit itself is allowed, one more is not', () => {
    expect(nestsDeeperThan(nested(32), 32)).toBe(false);
    expect(nestsDeeperThan(nested(33), 32)).toBe(true);
  });

  test('many shallow objects do not nest', () => {
    expect(nestsDeeperThan(`[${'{},'.repeat(1000)}{}]`, 32)).toBe(false);
  });

  test('brackets in strings do not nest, also behind escaped quotes', () => {
    expect(nestsDeeperThan(JSON.stringify({ a: '"[{'.repeat(100) }), 32)).toBe(false);
    expect(nestsDeeperThan(JSON.stringify({ a: '\\'.repeat(7), b: '['.repeat(100) }), 32)).toBe(false);
  });

  test('a string without its end ends the text', () => {
    expect(nestsDeeperThan(`"${'['.repeat(100)}`, 32)).toBe(false);
  });

  test('agrees with the depth of the parsed value', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), fc.integer({ min: 1, max: 6 }), (value, max) => {
        expect(nestsDeeperThan(JSON.stringify(value), max)).toBe(depthOf(value) > max);
      }),
    );
  });
});
