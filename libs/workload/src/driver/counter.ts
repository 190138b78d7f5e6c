/** The counter where senders wait for ready work and the source waits for room in the window. */
import { BULK_LINES_MIN, REFILL_MIN, WINDOW_MAX } from '../limits.ts';
import type { Work } from '../write.ts';
import { type Node, createSchedule } from './schedule.ts';

/** What a sender asks for: a single write, or a batch of a size that is worth a bulk body. */
export interface Appetite {
  readonly max: number;
  readonly sameKeyMax: number;
}

export interface Counter {
  /** Resolves where there is room for at least `REFILL_MIN` more; then `add` until `isFull`. */
  room(): Promise<void>;
  isFull(): boolean;
  add(work: Work): void;
  /** No more is added. */
  end(): void;
  /** Work for a sender; undefined where there is none left, or the counter is shut. */
  take(appetite: Appetite): Promise<Node[] | undefined>;
  settle(node: Node): void;
  /** A write that waits for the end of an order; undefined where there is none left, or the counter is shut. */
  takeGated(): Promise<Node | undefined>;
  /** Its order is open still. */
  putBack(node: Node): void;
  /** Its order has ended. */
  open(node: Node): void;
  /** Sends every waiting sender and the source home. */
  shut(): void;
  /** Works that are added and not settled. */
  size(): number;
}

interface Waiter {
  readonly appetite: Appetite;
  readonly serve: (batch: Node[] | undefined) => void;
}

export interface CounterOptions {
  /** Some senders take single writes. */
  readonly hasSingles: boolean;
  /** Some senders take several writes of one key at once: hot keys are kept for them. */
  readonly takesRuns: boolean;
}

export function createCounter({ hasSingles, takesRuns }: CounterOptions): Counter {
  const schedule = createSchedule({ takesRuns });
  const singles: Waiter[] = [];
  const bulks: Waiter[] = [];
  const gatekeepers: ((node: Node | undefined) => void)[] = [];
  const bulkMin = hasSingles ? BULK_LINES_MIN : 1;
  let state: 'open' | 'ended' | 'shut' = 'open';
  let giveRoom: (() => void) | undefined;

  const isDone = (): boolean => state === 'shut' || (state === 'ended' && schedule.size() === 0);
  const isWorthBulk = (): boolean => (takesRuns && schedule.runs() > 0) || schedule.ready() + schedule.runs() >= bulkMin;
  const nextWaiter = (): Waiter | undefined => {
    if (bulks.length > 0 && isWorthBulk()) return bulks.pop();
    const forSingles = schedule.ready() + (takesRuns ? 0 : schedule.runs());
    return forSingles > 0 ? singles.pop() : undefined;
  };
  const serve = (): void => {
    while (schedule.ready() + schedule.runs() > 0 && state !== 'shut') {
      const waiter = nextWaiter();
      if (!waiter) break;
      waiter.serve(schedule.take(waiter.appetite));
    }
    for (let keeper = gatekeepers.at(-1); keeper && state !== 'shut'; keeper = gatekeepers.at(-1)) {
      const node = schedule.takeGated();
      if (!node) break;
      gatekeepers.pop();
      keeper(node);
    }
    if (!isDone()) return;
    for (const keeper of gatekeepers.splice(0)) keeper(undefined);
    for (const waiter of [...singles.splice(0), ...bulks.splice(0)]) waiter.serve(undefined);
  };
  const freeRoom = (): void => {
    if (state !== 'shut' && schedule.size() > WINDOW_MAX - REFILL_MIN) return;
    giveRoom?.();
    giveRoom = undefined;
  };
  const finish = (next: 'ended' | 'shut'): void => {
    if (state !== 'shut') state = next;
    serve();
    freeRoom();
  };
  return {
    size: schedule.size,
    isFull: () => schedule.size() >= WINDOW_MAX,
    room: () =>
      new Promise((resolve) => {
        giveRoom = resolve;
        freeRoom();
      }),
    add(work) {
      schedule.add(work);
      serve();
    },
    end: () => finish('ended'),
    shut: () => finish('shut'),
    take: (appetite) =>
      new Promise((resolve) => {
        const waiters = appetite.max > 1 ? bulks : singles;
        waiters.push({ appetite, serve: resolve });
        serve();
      }),
    settle(node) {
      schedule.settle(node);
      serve();
      freeRoom();
    },
    takeGated: () =>
      new Promise((resolve) => {
        gatekeepers.push(resolve);
        serve();
      }),
    putBack(node) {
      schedule.putBack(node);
      serve();
    },
    open(node) {
      schedule.open(node);
      serve();
    },
  };
}
