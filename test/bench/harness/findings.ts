/** What a benchmark finds about its goals. */
import type { Finding } from './bench.ts';
import { ratioOf, type SideResult } from './rounds.ts';

export interface RatioGoal {
  readonly what: string;
  readonly a: string;
  readonly b: string;
  readonly metric: string;
  readonly atLeast: number;
}

/** The median over rounds of side A over side B. */
export function findRatio(results: readonly SideResult[], { what, a, b, metric, atLeast }: RatioGoal): Finding {
  const ratio = ratioOf(results, a, b, metric);
  const reached = ratio === undefined ? 'not measured' : `${ratio.median.toFixed(2)}x (${ratio.min.toFixed(2)} to ${ratio.max.toFixed(2)})`;
  return { what, goal: `>= ${atLeast}x`, reached, met: ratio !== undefined && ratio.median >= atLeast };
}

export function findAtMost({ what, value, unit, atMost }: { what: string; value: number; unit: string; atMost: number }): Finding {
  return { what, goal: `<= ${atMost} ${unit}`, reached: `${Number(value.toPrecision(4))} ${unit}`, met: value <= atMost };
}
