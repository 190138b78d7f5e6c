import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createRandom, randomFrom } from './random.ts';
import { createZipf } from './zipf.ts';

describe('the random numbers', () => {
  test('are those of the reference implementation of xoshiro128** from the state 1, 2, 3, 4', () => {
    const random = randomFrom([1, 2, 3, 4]);
    const numbers = Array.from({ length: 10 }, () => random.next());
    expect(numbers).toEqual([11520, 0, 5927040, 70819200, 2031721883, 1637235492, 1287239034, 3734860849, 3729100597, 4258142804]);
  });

  test('follow from the seed alone', () => {
    const draw = (seed: string): number[] => {
      const random = createRandom(seed);
      return Array.from({ length: 100 }, () => random.next());
    };
    expect(draw('a')).toEqual(draw('a'));
    expect(draw('a')).not.toEqual(draw('b'));
  });

  test('stay below their limit', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 2 ** 32 }), (seed, limit) => {
        const number = createRandom(seed).below(limit);
        expect(Number.isInteger(number) && number >= 0 && number < limit).toBe(true);
      }),
    );
  });
});

describe('Zipf ranks', () => {
  test('come as often as the law says', () => {
    const random = createRandom('zipf');
    const rank = createZipf({ n: 4, exponent: 1 });
    const counts = [0, 0, 0, 0];
    for (let draw = 0; draw < 50_000; draw++) counts[rank(random)]! += 1;
    const sum = 1 + 1 / 2 + 1 / 3 + 1 / 4;
    counts.forEach((count, index) => expect(count / 50_000).toBeCloseTo(1 / (index + 1) / sum, 1));
  });

  test('of one are always 0', () => {
    const rank = createZipf({ n: 1, exponent: 1 });
    expect(rank(createRandom('x'))).toBe(0);
  });
});
