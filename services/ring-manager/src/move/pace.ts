/**
 * The pace of moves: a byte throttle that all moves of a process share, and rests while a shard applies writes, of which
 * all moves of that shard together work a part of the time.
 *
 * A chunk is paid after it was copied, so a wait never holds a transaction open. The rate adapts to the shards: it rises
 * in small steps while a cheap question is answered as quickly as usual, and is halved where it is not (AIMD).
 */
import { sleep } from '@millrace/runtime';
import { assert, type ShardId } from '@millrace/write';
import { BUSY_MS, BUSY_PIECE_MS, FIRST_LOOK_MS, REST_MS_MAX, PACE_MIN_BYTES_PER_SECOND, PACE_RISE, PACE_SLOW_FACTOR, PACE_SLOW_MS_MIN, PACE_STEP_MS } from './limits.ts';
import type { Pace } from './types.ts';

export interface PaceOptions {
  readonly bytesPerSecondMax: number;
  /** The part of the time, above 0 and up to 1, that all moves of a shard together work there while it applies writes; they rest for the other. */
  readonly duty: number;
  /** A test's own clock, in milliseconds, and its wait. */
  readonly now?: () => number;
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

/** A chunk that took so long to copy has paid for as much. */
const SAVED_MS_MAX = 1_000;
/** How slowly a shard's usual latency follows what is measured. */
const USUAL_SHARE = 0.05;

export function createPace({ bytesPerSecondMax, duty, now = () => performance.now(), wait = sleep }: PaceOptions): Pace {
  assert(bytesPerSecondMax > 0, 'the rate of moves is above zero');
  assert(duty > 0 && duty <= 1, 'moves work for a part of the time');
  const lowest = Math.min(PACE_MIN_BYTES_PER_SECOND, bytesPerSecondMax);
  const usualMs = new Map<ShardId, number>();
  const applied = new Map<ShardId, bigint>();
  const busyUntilMs = new Map<ShardId, number>();
  const restedUntilMs = new Map<ShardId, number>();
  let rate = bytesPerSecondMax;
  let paidUntilMs = now();
  let steppedAtMs = now();

  const isBusy = (shard: ShardId): boolean => (busyUntilMs.get(shard) ?? -Infinity) > now();

  /** Moves of one shard share its time: whoever works there next to others rests for them as well. */
  function charge(shard: ShardId, workedMs: number): number {
    const owedUntilMs = Math.max(restedUntilMs.get(shard) ?? -Infinity, now() - workedMs) + workedMs / duty;
    const untilMs = Math.min(owedUntilMs, now() + REST_MS_MAX);
    restedUntilMs.set(shard, untilMs);
    return untilMs;
  }

  return {
    async take(bytes, signal) {
      // The time that copying took counts, but rest is not saved up for a burst.
      paidUntilMs = Math.max(paidUntilMs, now() - SAVED_MS_MAX) + (bytes * 1_000) / rate;
      const waitMs = paidUntilMs - now();
      if (waitMs >= 1) await wait(waitMs, signal);
    },
    async rest(workedMs, shards, signal) {
      if (workedMs <= 0) return;
      const untilMs = Math.max(...shards.filter(isBusy).map((shard) => charge(shard, workedMs)));
      if (untilMs > now()) await wait(untilMs - now(), signal);
    },
    pieceMs: (idleMs, shards) => (shards.some(isBusy) ? Math.min(idleMs, BUSY_PIECE_MS) : idleMs),
    observe(shard, { latencyMs, applied: records }) {
      const before = applied.get(shard);
      if (before !== records) busyUntilMs.set(shard, now() + (before === undefined ? FIRST_LOOK_MS : BUSY_MS));
      applied.set(shard, records);
      const usual = usualMs.get(shard) ?? latencyMs;
      // A slow answer hardly counts for what is usual, a quick one at once.
      usualMs.set(shard, latencyMs < usual ? latencyMs : usual + (latencyMs - usual) * USUAL_SHARE);
      if (now() - steppedAtMs < PACE_STEP_MS) return;
      steppedAtMs = now();
      const slow = latencyMs > Math.max(PACE_SLOW_MS_MIN, usual * PACE_SLOW_FACTOR);
      rate = slow ? Math.max(lowest, rate / 2) : Math.min(bytesPerSecondMax, rate + bytesPerSecondMax * PACE_RISE);
    },
    bytesPerSecond: () => Math.round(rate),
  };
}
