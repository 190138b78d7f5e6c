/**
 * What goes wrong in a schedule, and how often.
 *
 * Each schedule draws its own mix, with many kinds left out: what only shows between two particular processes is then
 * not drowned by all the others (swarm testing, Groce et al., ISSTA 2012).
 */
import type { Random } from './random.ts';

/** How many steps lie between two of a kind, on average; 0 is never. */
export interface Troubles {
  /** The lease runs out, and another takes it. */
  readonly takeover: number;
  /** As above, because the holder sleeps. */
  readonly leaderSleeps: number;
  readonly managerCrashes: number;
  readonly managerWakes: number;
  readonly writerSleeps: number;
  readonly writerWakes: number;
  readonly writerCrashes: number;
  readonly abort: number;
  /** Once in so many commits. */
  readonly commitUnknown: number;
  /** Once in so many batches of deletes. */
  readonly batchStrays: number;
  /** Who does the steps: of 8, so many are a manager's. */
  readonly managerSteps: number;
  readonly moves: number;
  readonly steps: number;
}

/** One move, and nobody else about. */
export const CALM: Troubles = {
  takeover: 0,
  leaderSleeps: 0,
  managerCrashes: 0,
  managerWakes: 0,
  writerSleeps: 0,
  writerWakes: 0,
  writerCrashes: 0,
  abort: 0,
  commitUnknown: 0,
  batchStrays: 0,
  managerSteps: 6,
  moves: 1,
  steps: 120,
};

const FEW = [0, 0, 60, 200] as const;
const SLEEPS = [0, 30, 60, 150] as const;
const WAKES = [15, 60, 250, 0] as const;

export function drawTroubles(random: Random): Troubles {
  return {
    takeover: random.pick(FEW),
    leaderSleeps: random.pick(SLEEPS),
    managerCrashes: random.pick(FEW),
    managerWakes: random.pick(WAKES),
    writerSleeps: random.pick(FEW),
    writerWakes: 20,
    writerCrashes: random.pick(FEW),
    abort: random.pick([0, 0, 50, 120] as const),
    commitUnknown: random.pick([0, 0, 6, 20] as const),
    batchStrays: random.pick([0, 3] as const),
    managerSteps: 5 + random.below(3),
    moves: random.pick([1, 2, 3, 3] as const),
    steps: 120 + random.below(330),
  };
}
