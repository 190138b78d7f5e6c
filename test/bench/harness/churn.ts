/** Slots on their way all the time: a shard that joins and leaves again and again, or slots that go to and fro. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Installation } from './installation.ts';
import type { Move, Plan, Ring } from './ring.ts';

export interface Churn<Report> {
  /** Begins nothing more and waits for what is under way. @throws what has gone wrong */
  readonly stop: () => Promise<Report>;
}

export interface Comings {
  readonly joins: number;
  readonly leaves: number;
  /** Of all plans, ended. */
  readonly moves: readonly Move[];
}

/** A later shard joins, gets its share, gives it back and leaves. In the end it has left. `onPlan` hears of a join before slots move. */
export function startChurn({ join, ring }: Installation, shard: string, onPlan: (plan: Plan) => void = () => undefined): Churn<Comings> {
  let stopped = false;

  async function ended(plan: Plan): Promise<readonly Move[]> {
    await ring.done(plan);
    return ring.moves({ plan: plan.id });
  }

  async function comeAndGo(): Promise<Comings> {
    const moves: Move[] = [];
    let joins = 0;
    for (; !stopped; joins++) {
      await join(shard);
      const plan = await ring.preview();
      onPlan(plan);
      await ring.start(plan);
      moves.push(...(await ended(plan)));
      moves.push(...(await ended(await ring.drain(shard))));
      await ring.remove(shard);
    }
    return { joins, leaves: joins, moves };
  }

  return churnOf(comeAndGo(), () => (stopped = true));
}

/** Moves that wait beside those under way, so that none has to be waited for. */
const OPEN_MOVES = 6;
const POLL_MS = 100;

/** All slots of one shard go to another one by one, then back, and so on. */
export function startShuttle(ring: Ring, between: readonly [string, string]): Churn<readonly Move[]> {
  let stopped = false;

  async function shuttle(): Promise<readonly Move[]> {
    const begunAt = new Set((await ring.moves({})).map(({ id }) => id));
    let [from, to] = between;
    while (!stopped) {
      const [owners, open] = await Promise.all([ring.owners(), ring.moves({ open: true })]);
      const moving = new Set(open.map(({ slot }) => slot));
      const waiting = owners.flatMap((owner, slot) => (owner === from && !moving.has(slot) ? [slot] : []));
      for (const slot of waiting.slice(0, OPEN_MOVES - open.length)) await ring.move(slot, to);
      if (waiting.length === 0 && open.length === 0) [from, to] = [to, from];
      else await delay(POLL_MS);
    }
    return (await ring.moves({})).filter(({ id }) => !begunAt.has(id));
  }

  return churnOf(shuttle(), () => (stopped = true));
}

/** What goes wrong meanwhile is told where it is stopped. */
function churnOf<Report>(work: Promise<Report>, stop: () => void): Churn<Report> {
  work.catch(() => undefined);
  return {
    stop: () => {
      stop();
      return work;
    },
  };
}
