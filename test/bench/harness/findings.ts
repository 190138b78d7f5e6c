/** What a benchmark finds about its goals. */
import type { Finding } from './bench.ts';
import { ratioOf, type SideResult } from './rounds.ts';

export interface RatioGoal {
  readonly what: string;
  readonly a: string;
  readonly b: string;
  readonly metric: string;
}

/** The median over rounds of side A over side B. */
export function findRatio(results: readonly SideResult[], { what, atLeast, ...sides }: RatioGoal & { readonly atLeast: number }): Finding {
  const { median, reached } = ratioFor(results, sides);
  return { what, goal: `>= ${atLeast}x`, reached, met: median !== undefined && median >= atLeast };
}

/** The same where less is better. */
export function findRatioAtMost(results: readonly SideResult[], { what, atMost, ...sides }: RatioGoal & { readonly atMost: number }): Finding {
  const { median, reached } = ratioFor(results, sides);
  return { what, goal: `<= ${atMost}x`, reached, met: median !== undefined && median <= atMost };
}

function ratioFor(results: readonly SideResult[], { a, b, metric }: Omit<RatioGoal, 'what'>): { readonly median: number | undefined; readonly reached: string } {
  const ratio = ratioOf(results, a, b, metric);
  if (ratio === undefined) return { median: undefined, reached: 'not measured' };
  return { median: ratio.median, reached: `${ratio.median.toFixed(2)}x (${ratio.min.toFixed(2)} to ${ratio.max.toFixed(2)})` };
}

export function findAtMost({ what, value, unit, atMost }: { what: string; value: number; unit: string; atMost: number }): Finding {
  return { what, goal: `<= ${atMost} ${unit}`, reached: `${Number(value.toPrecision(4))} ${unit}`, met: value <= atMost };
}

/** Something that must be so every time. */
export function findAlways({ what, outcomes }: { what: string; outcomes: readonly boolean[] }): Finding {
  const times = outcomes.filter(Boolean).length;
  return { what, goal: 'always', reached: `${times} of ${outcomes.length}`, met: outcomes.length > 0 && times === outcomes.length };
}
