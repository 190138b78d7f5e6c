/**
 * Seeded randomness: xoshiro128** 1.1 by David Blackman and Sebastiano Vigna (public domain,
 * https://prng.di.unimi.it/xoshiro128starstar.c). The state is cut from the SHA-256 of the seed's text.
 * The same seed gives the same numbers on every machine.
 */
import { assert, must } from '@millrace/write';
import { hash } from 'node:crypto';

export interface Random {
  /** An unsigned 32-bit integer. */
  next(): number;
  /** At least 0, below 1, with 32 bits. */
  fraction(): number;
  /** An integer, at least 0 and below `limit`, which is 1 to 2^32. */
  below(limit: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  /** One of the items, which are not empty. */
  pick<T>(items: readonly T[]): T;
}

export function createRandom(seed: string): Random {
  const bytes = Buffer.from(hash('sha256', seed, 'hex'), 'hex');
  return randomFrom([bytes.readUInt32LE(0), bytes.readUInt32LE(4), bytes.readUInt32LE(8), bytes.readUInt32LE(12)]);
}

/** From a state of four 32-bit words, not all zero. */
export function randomFrom(state: readonly [number, number, number, number]): Random {
  let [a, b, c, d] = state;
  assert((a | b | c | d) !== 0, 'xoshiro128** cannot start from zero');
  const next = (): number => {
    const result = Math.imul(rotateLeft(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotateLeft(d, 11);
    return result;
  };
  const fraction = (): number => next() / 2 ** 32;
  const below = (limit: number): number => Math.floor(fraction() * limit);
  return {
    next,
    fraction,
    below,
    chance: (probability) => fraction() < probability,
    pick: (items) => must(items[below(items.length)], 'there is an item to pick'),
  };
}

function rotateLeft(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
