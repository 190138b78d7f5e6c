/** Everybody who acts in a schedule, and what may befall them. */
import { createActor, type Actor } from './actor.ts';
import { manager } from './manager.ts';
import { reader } from './reader.ts';
import { STREAMS } from './rows.ts';
import type { Trace } from './trace.ts';
import { commit, end, isHeld, type Tx } from './transaction.ts';
import { writer } from './writer.ts';
import type { World } from './world.ts';

export interface Crowd {
  /** Two for each stream, and a reader. */
  readonly others: readonly Actor[];
  /** The newest is the last; those before it may not know that they lead no more. */
  readonly managers: readonly Actor[];
  /** One of them that is awake goes on to its next stop, unless it waits for a lock. */
  step(actors: readonly Actor[]): void;
  /** Another manager takes the lease, or the same one anew. */
  takeover(): void;
  sleep(actor: Actor | undefined): void;
  wake(actors: readonly Actor[]): void;
  /** Its transaction stays until the server sees that the client is gone. A writer starts again. */
  crash(actor: Actor | undefined): void;
  /** One transaction without a client comes to its end. */
  endLimbo(): void;
}

/** A waiting actor ends the session that holds its lock, once in so many looks. */
const EVICTS = 8;

export function createCrowd(world: World, trace: Trace | undefined): Crowd {
  const { random, limbo } = world;
  const others = [
    ...STREAMS.flatMap((stream) => ['', ' too'].map((also) => createActor(`writer of ${stream}${also}`, (self) => writer(world, self, stream)))),
    createActor('reader', () => reader(world)),
  ];
  let managers: readonly Actor[] = [];
  let leaders = 0;

  function step(actors: readonly Actor[]): void {
    const first = random.below(actors.length);
    for (let i = 0; i < actors.length; i++) {
      const actor = actors[(first + i) % actors.length]!;
      if (!actor.asleep) return goOn(actor);
    }
  }

  function goOn(actor: Actor): void {
    if (!actor.steps) return;
    const { at } = actor;
    if (typeof at !== 'string' && isHeld(at)) return waitOrEvict(actor);
    trace?.step(actor);
    const { done, value } = actor.steps.next();
    if (done) trace?.event(`${actor.name} ends`);
    if (done) leave(actor);
    else actor.at = value;
  }

  function waitOrEvict({ name, at }: Actor): void {
    if (typeof at === 'string' || !random.oneIn(EVICTS)) return;
    const holder = at.tx.shard.locks.get(at.row);
    if (!holder) return;
    trace?.event(`${name} ends the session of ${holder.by}`);
    world.happens('a waiting process ends a session');
    forget(holder);
    end(holder);
  }

  function leave(actor: Actor): void {
    actor.steps = undefined;
    managers = managers.filter((other) => other !== actor);
    const stray = world.strays.indexOf(actor);
    if (stray >= 0) world.strays.splice(stray, 1);
  }

  function forget(tx: Tx): void {
    const index = limbo.indexOf(tx);
    if (index >= 0) limbo.splice(index, 1);
  }

  return {
    others,
    get managers() {
      return managers;
    },
    step,
    takeover() {
      leaders += 1;
      if (managers.length > 0) world.happens('a leader has a former one beside it');
      const holder = random.pick(['manager 1', 'manager 2']);
      managers = [...managers, createActor(`${holder} as leader ${leaders}`, (self) => manager(world, self, holder))];
    },
    sleep(actor) {
      if (!actor) return;
      trace?.event(`${actor.name} sleeps`);
      actor.asleep = true;
    },
    wake(actors) {
      for (const actor of actors) actor.asleep = false;
    },
    crash(actor) {
      if (!actor) return;
      trace?.event(`${actor.name} crashes`);
      if (actor.tx?.state === 'open') {
        actor.tx.state = 'abandoned';
        limbo.push(actor.tx);
      }
      if (managers.includes(actor)) leave(actor);
      else actor.start();
    },
    endLimbo() {
      const tx = random.pick(limbo);
      forget(tx);
      const commits = tx.state === 'committing' && random.oneIn(2);
      trace?.event(`the transaction of ${tx.by} on ${tx.shard.id} ${commits ? 'commits' : 'aborts'} by itself`);
      if (commits) commit(tx);
      else end(tx);
    },
  };
}
