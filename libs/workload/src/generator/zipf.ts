/** Zipf's law: rank r of n is drawn with a weight of 1 / r^exponent. A few keys are hot, most are cold. */
import { assert } from '@millrace/write';
import type { Random } from './random.ts';

/** A sampler of ranks 0 to n - 1, by binary search in the table of cumulated weights. */
export function createZipf({ n, exponent }: { n: number; exponent: number }): (random: Random) => number {
  assert(Number.isInteger(n) && n >= 1, 'a Zipf law has at least one rank');
  const cumulated = new Float64Array(n);
  let sum = 0;
  for (let rank = 0; rank < n; rank++) {
    sum += (rank + 1) ** -exponent;
    cumulated[rank] = sum;
  }
  return (random) => firstAbove(cumulated, random.fraction() * sum);
}

/** The index of the first value above `target`, which is below the last value. */
function firstAbove(values: Float64Array, target: number): number {
  let low = 0;
  let high = values.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((values[middle] ?? Infinity) > target) high = middle;
    else low = middle + 1;
  }
  return low;
}
