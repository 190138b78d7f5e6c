/**
 * What goes wrong in a schedule, and how often.
 *
 * Each schedule draws its own mix, with many kinds left out: what only shows between two particular ones is then not
 * drowned by all the others (swarm testing, Groce et al., ISSTA 2012).
 */
import type { Random } from './random.ts';

/** One in so many steps, on average; 0 is never. */
export interface Troubles {
  readonly crash: number;
  readonly move: number;
  /** A process that lost its slot publishes what it has in memory. */
  readonly zombie: number;
  /** An operator skips a command, a reply or a timeout that cannot be applied. */
  readonly skip: number;
  readonly retry: number;
  readonly cancel: number;
  /** A shard is down from some time on until everything else has come to rest. */
  readonly down: number;
  /** One in so many publications is acknowledged too late, and comes twice. */
  readonly twice: number;
  /** Messages arrive in the order in which they were published. */
  readonly inOrder: boolean;
  /** How far the clock of a process is ahead of the log's. */
  readonly aheadMs: number;
  /** How far the clock goes at once. */
  readonly tickMs: number;
  readonly steps: number;
}

/** Nothing does. */
export const CALM: Troubles = { crash: 0, move: 0, zombie: 0, skip: 0, retry: 0, cancel: 0, down: 0, twice: 0, inOrder: true, aheadMs: 0, tickMs: 1, steps: 100 };

const FEW = [0, 0, 12, 40] as const;

export function drawTroubles(random: Random): Troubles {
  return {
    crash: random.pick(FEW),
    move: random.pick(FEW),
    zombie: random.pick([0, 8, 20] as const),
    skip: random.pick([0, 0, 0, 5] as const),
    retry: random.pick([0, 0, 0, 8, 25] as const),
    cancel: random.pick([0, 0, 0, 30] as const),
    down: random.pick([0, 0, 0, 30] as const),
    twice: random.pick([0, 2, 6] as const),
    inOrder: random.oneIn(3),
    aheadMs: random.pick([0, 0, 0, 2_000, 100_000] as const),
    tickMs: random.pick([1, 1, 100, 1_000] as const),
    steps: 30 + random.below(90),
  };
}
