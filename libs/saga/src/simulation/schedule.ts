/** One schedule, from its seed: first anything may happen, then the world is kind and everything comes to its end. */
import { OPEN_SAGA_STATES, saga as sagaTable, type Message, type SagaRow } from '@millrace/domain';
import { must, type RoutingKey, type Stream } from '@millrace/write';
import { BREAKAGES, WHOLE } from './broken.ts';
import { cancelOf, createScript, retryOf, type Script } from './clients.ts';
import { checkDeadlines, checkEnds, createInvariants } from './invariants.ts';
import { createRandom } from './random.ts';
import { checkEffects } from './reckoning.ts';
import { append, crash, deliver, fire, move, publishNext, save } from './relay.ts';
import type { Rule } from './rules.ts';
import { drawTroubles, type Troubles } from './troubles.ts';
import { createTurns, type Turns } from './turn.ts';
import { createWorld, rowsOf, sagaAt, SHARDS, STREAMS, violates, type Slot, type World } from './world.ts';

export interface Plan {
  /** The rule that is not kept. */
  readonly broken?: Rule;
  /** Instead of what the seed draws. */
  readonly troubles?: Troubles;
}

/** A kind world ends everything in far fewer steps. */
const KIND_STEPS_MAX = 5_000;
/** Longer than any deadline, that of returns included. */
const DEADLINES_MS = 1_000_000;
/** A turn takes up to so many records. */
const TURN_RECORDS_MAX = 4;
/** What was skipped is sent again by operators: so often, at most, until a saga has ended. */
const RETRIES_MAX = 4;
/** One in so many returns is asked for all the same before its order is confirmed. */
const EARLY = 12;

const BACKWARDS = STREAMS.toReversed();

interface Run {
  readonly world: World;
  readonly turns: Turns;
  readonly script: Script;
  readonly troubles: Troubles;
  /** What clients have not sent yet. */
  readonly left: Message[];
  operations: number;
}

/** Gives the number of its steps. @throws Violation */
export function runSchedule(seed: number, plan: Plan, happens: (what: string) => void): number {
  const random = createRandom(seed);
  const troubles = plan.troubles ?? drawTroubles(random);
  const world = createWorld({ random, broken: plan.broken, aheadMs: troubles.aheadMs, happens });
  const invariants = createInvariants(world);
  const turns = createTurns(world, invariants, (plan.broken && BREAKAGES[plan.broken]) ?? WHOLE);
  const script = createScript(random);
  const run: Run = { world, turns, script, troubles, left: [...script.asked], operations: 0 };
  for (const write of script.setup) append(world, write);
  let steps = settle(run);
  // Some find the orders at their end, so that returns have the troubles.
  if (random.oneIn(3)) {
    for (const write of run.left.splice(0, script.placed)) append(world, write);
    steps += settle(run);
  }
  for (let step = 0; step < troubles.steps; step++) {
    trouble(run);
    work(run);
  }
  happens('from here the world is kind');
  steps += troubles.steps + end(run);
  checkEnds(world);
  checkEffects(world, script, invariants.cameIn());
  return steps;
}

/** Something that goes on at any time. */
function work(run: Run): void {
  const { world, turns, troubles } = run;
  const { random } = world;
  switch (random.below(8)) {
    case 0:
    case 1:
      return somewhere(world, (slot, stream) => turn(turns, slot, stream, 1 + random.below(TURN_RECORDS_MAX)));
    case 2:
    case 3:
      return somewhere(world, (slot, stream) => publishNext(world, slot.relays[stream], random.oneIn(troubles.twice)));
    case 4:
    case 5:
      return void deliver(world, troubles.inOrder);
    case 6:
      return ask(run);
    default:
      world.nowMs += random.below(troubles.tickMs) + 1;
      save(world, random.pick(world.slots), random.pick(STREAMS));
      fire(world, random.pick(world.slots));
  }
}

/** Where there is something to do: the first, from any place on. */
function somewhere({ slots, random }: World, does: (slot: Slot, stream: Stream) => boolean): void {
  const from = random.below(slots.length);
  const streams = random.oneIn(2) ? STREAMS : BACKWARDS;
  for (let index = 0; index < slots.length; index++) {
    const slot = must(slots[(from + index) % slots.length], 'within the slots');
    if (streams.some((stream) => does(slot, stream))) return;
  }
}

function turn(turns: Turns, slot: Slot, stream: Stream, recordsMax: number): boolean {
  let records = 0;
  while (records < recordsMax && turns.next(slot, stream)) records++;
  return records > 0;
}

/** Clients ask for returns when they have got their order, mostly; and now and then they ask twice. */
function ask({ world, left }: Run): void {
  const { random } = world;
  const next = left.shift();
  if (!next) return;
  if (isEarly(world, next) && !random.oneIn(EARLY)) return void left.push(next);
  append(world, next);
  if (random.oneIn(6)) append(world, next);
}

/** A return of an order that is not confirmed. */
function isEarly(world: World, { type, key }: Message): boolean {
  return type === 'order.return' && sagaAt(world, { key, saga: 'order' })?.state !== 'confirmed';
}

function trouble(run: Run): void {
  const { world, turns, troubles } = run;
  const { random } = world;
  if (random.oneIn(troubles.crash)) {
    world.happens('a process crashes');
    crash(world, random.below(SHARDS));
  }
  if (random.oneIn(troubles.move)) {
    const slot = random.pick(world.slots);
    if (slot.owner !== world.down) {
      world.happens('a slot moves');
      move(world, slot);
    }
  }
  if (world.zombies.length > 0 && random.oneIn(troubles.zombie) && publishNext(world, random.pick(world.zombies), false)) world.happens('a zombie publishes');
  if (random.oneIn(troubles.skip)) turns.skip(random.pick(world.slots), random.pick(STREAMS));
  if (random.oneIn(troubles.retry)) operate(run, 'retry');
  if (random.oneIn(troubles.cancel)) operate(run, 'cancel');
  if (world.down === undefined && random.oneIn(troubles.down)) {
    world.happens('a shard is down');
    world.down = random.below(SHARDS);
  }
}

/** An operator looks at the list of open sagas, and at one that has ended now and then. */
function operate(run: Run, what: 'retry' | 'cancel'): void {
  const { world } = run;
  const all = rowsOf<SagaRow>(world, sagaTable);
  const open = all.filter(isOpenRow);
  const from = open.length > 0 && !world.random.oneIn(8) ? open : all;
  if (from.length > 0) order(run, world.random.pick(from), what);
}

function order(run: Run, { key, saga }: SagaRow, what: 'retry' | 'cancel'): void {
  append(run.world, (what === 'retry' ? retryOf : cancelOf)(key as RoutingKey, saga, run.operations++));
}

function isOpenRow({ state }: SagaRow): boolean {
  return (OPEN_SAGA_STATES as readonly string[]).includes(state);
}

/** S5: with a shard down, all that waits for it is undone by its deadline; when it is back, everything ends. */
function end(run: Run): number {
  const { world } = run;
  let steps = settle(run);
  for (const next of run.left.splice(0)) {
    if (next.type === 'order.return') steps += settle(run);
    if (!isEarly(world, next) || world.random.oneIn(EARLY)) append(world, next);
  }
  steps += settle(run);
  world.nowMs += DEADLINES_MS;
  steps += settle(run);
  checkDeadlines(world);
  world.down = undefined;
  steps += settle(run);
  // What came only now has its deadline before it.
  world.nowMs += DEADLINES_MS;
  steps += settle(run);
  checkDeadlines(world);
  for (let retries = 0; retries < RETRIES_MAX && world.skipped > 0; retries++) {
    for (const row of rowsOf<SagaRow>(world, sagaTable)) if (isOpenRow(row)) order(run, row, 'retry');
    steps += settle(run);
  }
  return steps;
}

/** Everybody does what is left to do, until nothing is. */
function settle(run: Run): number {
  const { world, turns } = run;
  const inOrder = run.troubles.inOrder || world.random.oneIn(2);
  for (let steps = 0; steps < KIND_STEPS_MAX; steps++) {
    let isBusy = false;
    for (const slot of world.slots) {
      for (const stream of STREAMS) {
        while (turns.next(slot, stream)) isBusy = true;
        while (publishNext(world, slot.relays[stream], false)) isBusy = true;
      }
      if (fire(world, slot)) isBusy = true;
    }
    while (deliver(world, inOrder)) isBusy = true;
    if (!isBusy) return steps;
  }
  return violates('S5: the world does not come to rest');
}
