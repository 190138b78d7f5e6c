/**
 * Timers: rows on the shards, fired by whoever applies their slots, as records of the stream. Time enters only so.
 *
 * Each shard is looked at by itself: one that is down keeps its timers, and no other's waits. Of two processes that both
 * take a slot for theirs each fires: the shot that comes second finds the saga moved. Whether a shot comes in time is
 * for the log to say, not for the clock here.
 */
import { KafkaUnavailable, LaneFull, ProduceUnknown, type Lanes } from '@millrace/kafka';
import { PgError, type Database } from '@millrace/postgres';
import { backoffMs, sleep, type Log } from '@millrace/runtime';
import { UnknownShard } from '@millrace/topology';
import type { ShardId, Slot } from '@millrace/write';
import { CLOCKS_APART_MS, FIRED_MAX, FIRE_AGAIN, LOOK_EVERY_MS, LOOK_ROWS_MAX, TIMER_RETRY } from '../limits.ts';
import type { SagaMetrics } from '../metrics.ts';
import { readDue, type DueTimer } from './due.sql.ts';
import { createFired } from './fired.ts';
import { timeoutRecord } from './timeout.ts';

export interface TimersInput {
  /** Every shard that may apply slots, as it is now. */
  readonly shardIds: () => readonly ShardId[];
  /** The slots of a shard that this process applies now. */
  readonly slotsOn: (shard: ShardId) => readonly Slot[];
  /** @throws UnknownShard */
  readonly database: (shard: ShardId) => Pick<Database, 'query'>;
  readonly lanes: Pick<Lanes, 'sendMany'>;
  readonly metrics: Pick<SagaMetrics, 'fired' | 'timersFailed'>;
  readonly log: Log;
  readonly onBug: (error: unknown) => void;
  /** In milliseconds since 1970; a test's own. */
  readonly now?: () => number;
}

export interface Timers {
  /** Resolves when nothing more is fired. What was not is fired by the next owner. */
  stop(): Promise<void>;
}

export function startTimers(input: TimersInput): Timers {
  const { shardIds, log, onBug } = input;
  const stopping = new AbortController();
  const { signal } = stopping;
  const watches = new Map<ShardId, Promise<void>>();

  async function watchAll(): Promise<void> {
    while (!signal.aborted) {
      for (const shard of shardIds()) {
        if (!watches.has(shard)) watches.set(shard, watch({ ...input, shard, signal, log: log.child({ shard }) }).catch(onBug));
      }
      await pause(LOOK_EVERY_MS, signal);
    }
  }

  const watching = watchAll().catch(onBug);
  return {
    async stop() {
      stopping.abort(new Error('the timers stop'));
      await watching;
      await Promise.all(watches.values());
    },
  };
}

interface Watch extends TimersInput {
  readonly shard: ShardId;
  readonly signal: AbortSignal;
}

/** Looks at a shard again and again; it alone decides that a look is tried again. */
async function watch(input: Watch): Promise<void> {
  const { shard, signal, metrics } = input;
  const look = createLook(input);
  let failures = 0;
  while (!signal.aborted) {
    try {
      const more = await unless(signal, look());
      failures = 0;
      if (!more) await pause(LOOK_EVERY_MS, signal);
    } catch (error) {
      if (signal.aborted) return;
      if (!isWeather(error)) throw error;
      failures += 1;
      const delayMs = Math.max(LOOK_EVERY_MS, backoffMs(failures, TIMER_RETRY));
      metrics.timersFailed(shard, error, delayMs);
      await pause(delayMs, signal);
    }
  }
}

/** One page at a time: true where the next one is to be read at once. */
function createLook({ shard, slotsOn, database, lanes, metrics, now = Date.now }: Watch): () => Promise<boolean> {
  const fired = createFired({ ...FIRE_AGAIN, timersMax: FIRED_MAX });
  let behind: DueTimer | undefined;

  return async () => {
    const slots = slotsOn(shard);
    const nowMs = now();
    const page = slots.length === 0 ? [] : await database(shard).query<DueTimer>(readDue({ slots, untilMs: nowMs - CLOCKS_APART_MS, behind, rowsMax: LOOK_ROWS_MAX }));
    const due = fired.due(page, nowMs);
    if (due.length > 0) {
      await lanes.sendMany(due.map((timer) => timeoutRecord(timer, nowMs)));
      fired.shot(due, nowMs);
      metrics.fired(shard, due.length);
    }
    const more = page.length === LOOK_ROWS_MAX && !fired.isFull();
    behind = more ? page.at(-1) : undefined;
    if (!more) fired.passed();
    return more;
  };
}

function isWeather(error: unknown): boolean {
  if (error instanceof PgError) return error.kind === 'infrastructure';
  return [UnknownShard, KafkaUnavailable, LaneFull, ProduceUnknown].some((known) => error instanceof known);
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, signal).catch(() => undefined);
}

/** A shard that does not answer does not keep a drain waiting. @throws the signal's reason */
async function unless<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const over = Promise.withResolvers<never>();
  const end = (): void => over.reject(signal.reason as Error);
  signal.addEventListener('abort', end, { once: true });
  try {
    return await Promise.race([work, over.promise]);
  } finally {
    signal.removeEventListener('abort', end);
    work.catch(() => undefined);
  }
}
