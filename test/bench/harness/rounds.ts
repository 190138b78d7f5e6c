/** Sides take turns, A B C A B C, so that what the machine does meanwhile falls on all of them. */
import { summarize, type Summary } from './stats.ts';

export type Measure = Readonly<Record<string, number>>;

export interface Side {
  readonly name: string;
  readonly measure: (round: number) => Promise<Measure>;
}

export interface SideResult {
  readonly name: string;
  readonly measures: readonly Measure[];
}

export async function interleave(sides: readonly Side[], rounds: number): Promise<readonly SideResult[]> {
  const results = sides.map((side) => ({ name: side.name, measures: [] as Measure[] }));
  for (let round = 1; round <= rounds; round++) {
    for (const [index, side] of sides.entries()) {
      const measure = await side.measure(round);
      results[index]?.measures.push(measure);
      process.stderr.write(`  round ${round}/${rounds}  ${side.name.padEnd(28)} ${format(measure)}\n`);
    }
  }
  return results;
}

/** The summary of one metric of one side; undefined where the side or the metric was not measured. */
export function summaryOf(results: readonly SideResult[], name: string, metric: string): Summary | undefined {
  const values = results.find((result) => result.name === name)?.measures.flatMap((measure) => measure[metric] ?? []).filter((value) => !Number.isNaN(value));
  return values === undefined || values.length === 0 ? undefined : summarize(values);
}

/** Median by round of A's metric over B's: each pair was measured next to each other. */
export function ratioOf(results: readonly SideResult[], a: string, b: string, metric: string): Summary | undefined {
  const over = results.find((result) => result.name === a)?.measures ?? [];
  const under = results.find((result) => result.name === b)?.measures ?? [];
  const ratios = over.flatMap((measure, round) => {
    const [top, bottom] = [measure[metric], under[round]?.[metric]];
    return top === undefined || bottom === undefined ? [] : [top / bottom];
  });
  return ratios.length === 0 ? undefined : summarize(ratios);
}

function format(measure: Measure): string {
  return Object.entries(measure).map(([name, value]) => `${name}=${value >= 1000 ? Math.round(value) : Number(value.toPrecision(3))}`).join(' ');
}
