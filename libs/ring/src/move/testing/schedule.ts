/** One schedule, from its seed: first anything may happen, then the world is kind and everything comes to its end. */
import { IDLE, STARTS } from './actor.ts';
import { openMove, orderAbort, orderMove } from './control.ts';
import { createCrowd, type Crowd } from './crowd.ts';
import { TAKES_LEASE } from './manager.ts';
import { createInvariants } from './invariants.ts';
import { createRandom } from './random.ts';
import { LOG_RECORDS } from './rows.ts';
import type { Rules } from './rules.ts';
import type { Trace } from './trace.ts';
import { drawTroubles, type Troubles } from './troubles.ts';
import { createWorld, type World } from './world.ts';

export interface Plan {
  readonly rules: Rules;
  /** Copies lose rows on their way. */
  readonly lossy?: boolean;
  /** Instead of what the seed draws. */
  readonly troubles?: Troubles;
}

export interface Watch {
  readonly trace?: Trace;
  /** How often things happened. */
  readonly tally?: Map<string, number>;
}

/** Of 8 steps, so many are a manager's; one in so many is a stray batch's, where there is one. */
interface Share {
  readonly managerSteps: number;
  readonly strayIn: number;
}

const FAIR: Share = { managerSteps: 4, strayIn: 8 };
/** A kind world ends everything in far fewer steps. */
const KIND_STEPS_MAX = 5_000;
const MANAGERS_MAX = 6;
/** So many steps, on average, a lease lies about when its holder is dead or asleep, and a transaction without a client. */
const VACANT = 8;
const LIMBO = 10;
const STRAY = 40;
/** Of a lossy copy, one row in so many does not arrive. */
const ROW_LOST = 12;

/** Gives the number of its steps. @throws Violation */
export function runSchedule(seed: number, plan: Plan, { trace, tally }: Watch): number {
  const random = createRandom(seed);
  const troubles = plan.troubles ?? drawTroubles(random);
  const { commitUnknown, batchStrays } = troubles;
  const world = createWorld({ random, rules: plan.rules, faults: { commitUnknown, batchStrays, rowLost: plan.lossy ? ROW_LOST : 0 }, happens });
  const crowd = createCrowd(world, trace);
  const invariants = createInvariants(world);

  function happens(what: string): void {
    tally?.set(what, (tally.get(what) ?? 0) + 1);
    trace?.event(what);
  }

  function step(share: Share): void {
    const strays = world.strays.length > 0 && random.oneIn(share.strayIn);
    crowd.step(strays ? world.strays : random.below(8) < share.managerSteps ? crowd.managers : crowd.others);
    trace?.state(world);
    invariants.step();
  }

  let steps = 0;
  for (; steps < troubles.steps; steps++) {
    trouble(world, crowd, troubles);
    step({ managerSteps: troubles.managerSteps, strayIn: STRAY });
  }
  beKind(world, crowd);
  trace?.event('from here the world is kind');
  for (; !isQuiet(world, crowd); steps++) {
    if (steps > KIND_STEPS_MAX) world.violates('liveness: it does not come to an end');
    if (!isLed(world, crowd)) crowd.takeover();
    if (world.limbo.length > 0) crowd.endLimbo();
    step(FAIR);
  }
  invariants.quiet();
  return steps;
}

function beKind(world: World, crowd: Crowd): void {
  world.faults = { ...world.faults, commitUnknown: 0, batchStrays: 0 };
  crowd.wake([...crowd.managers, ...crowd.others]);
}

function trouble(world: World, crowd: Crowd, troubles: Troubles): void {
  const { random, control } = world;
  const newest = crowd.managers.at(-1);
  const writer = random.pick(crowd.others);
  if (control.moves.length < troubles.moves && random.oneIn(6)) orderMove(world);
  if (random.oneIn(troubles.abort)) orderAbort(control);
  if (random.oneIn(troubles.leaderSleeps)) crowd.sleep(newest);
  if (random.oneIn(troubles.managerCrashes)) crowd.crash(random.pick(crowd.managers));
  if (random.oneIn(troubles.managerWakes)) crowd.wake(crowd.managers);
  if (random.oneIn(troubles.writerSleeps)) crowd.sleep(writer);
  if (random.oneIn(troubles.writerCrashes)) crowd.crash(writer);
  if (random.oneIn(troubles.writerWakes)) crowd.wake(crowd.others);
  if (crowd.managers.length < MANAGERS_MAX && random.oneIn(!newest || newest.asleep ? VACANT : troubles.takeover)) crowd.takeover();
  if (world.limbo.length > 0 && random.oneIn(LIMBO)) crowd.endLimbo();
}

/** Somebody has the lease and lives, or is about to take it. */
function isLed({ control }: World, { managers }: Crowd): boolean {
  return managers.some((actor) => actor === control.leader || actor.at === STARTS || actor.at === TAKES_LEASE);
}

function isQuiet({ control, truth, limbo, strays }: World, { managers, others }: Crowd): boolean {
  if (openMove(control) || limbo.length + strays.length > 0 || truth.positions.some((next) => next !== LOG_RECORDS)) return false;
  return managers.every(({ at }) => at === IDLE) && others.every(({ tx }) => tx === undefined);
}
