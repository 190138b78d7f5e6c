/** Randomness from a seed: the same seed gives the same schedule. */
import { must } from '@millrace/write';

export interface Random {
  /** An integer from 0 to `below` - 1. */
  below(below: number): number;
  /** True once in so many times on average; never where it is 0. */
  oneIn(times: number): boolean;
  pick<T>(from: readonly T[]): T;
}

// Held here: what is global is slow to reach from inside a test's own context.
const { floor, imul } = Math;

/** mulberry32 by Tommy Ettinger: 32 bits of state, good enough to wander, and fast. */
export function createRandom(seed: number): Random {
  let state = imul(seed + 1, 0x9e3779b9);

  function below(limit: number): number {
    state = (state + 0x6d2b79f5) | 0;
    let t = imul(state ^ (state >>> 15), state | 1);
    t ^= t + imul(t ^ (t >>> 7), t | 61);
    return floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * limit);
  }

  return { below, oneIn: (times) => times > 0 && below(times) === 0, pick: (from) => must(from[below(from.length)], 'there is something to pick') };
}
