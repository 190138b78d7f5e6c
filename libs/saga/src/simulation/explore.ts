/** The exploration: schedule after schedule, each from its own seed. */
import { runSchedule, type Plan } from './schedule.ts';
import { Violation } from './world.ts';

export interface Scope {
  readonly seed: number;
  readonly schedules: number;
  /** Only this violation counts; without it, any. */
  readonly of?: RegExp;
}

export interface Explored {
  readonly schedules: number;
  readonly steps: number;
  /** How often things happened. */
  readonly tally: ReadonlyMap<string, number>;
  /** The first violation: the exploration ends there. */
  readonly found: Found | undefined;
}

export interface Found {
  readonly seed: number;
  readonly violation: string;
}

export function explore(plan: Plan, { seed: first, schedules, of = /./ }: Scope): Explored {
  const tally = new Map<string, number>();
  const happens = (what: string): void => void tally.set(what, (tally.get(what) ?? 0) + 1);
  let steps = 0;
  for (let run = 0; run < schedules; run++) {
    const seed = first + run;
    try {
      steps += runSchedule(seed, plan, happens);
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      if (of.test(error.message)) return { schedules: run + 1, steps, tally, found: { seed, violation: error.message } };
    }
  }
  return { schedules, steps, tally, found: undefined };
}

/** The schedule of a seed once more: everything that happens in it, and how it ends. */
export function replay(seed: number, plan: Plan): string {
  const lines: string[] = [];
  try {
    runSchedule(seed, plan, (what) => lines.push(what));
    lines.push('all is well');
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    lines.push(error.message);
  }
  return lines.join('\n');
}
