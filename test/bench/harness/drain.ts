/**
 * How fast a backlog is applied, over its last nine tenths: the first tenth is for start and compilation, the same
 * for all sides.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Measure } from './rounds.ts';
import type { Servers } from './servers.ts';
import { cpuSecondsOf } from './usage.ts';

const WARMUP_SHARE = 0.1;
const POLL_MS_MIN = 50;
const POLL_MS_MAX = 1_000;
const STALL_TIMEOUT_MS = 60_000;

export interface Progress {
  readonly records: number;
  readonly atMs: number;
}

export interface Drain {
  readonly servers: Servers;
  readonly pid: number;
  /** Records to apply from now on. */
  readonly total: number;
  readonly progress: () => Promise<Progress> | Progress;
}

/** @throws Error where nothing is applied for a minute. */
export async function measureDrain({ servers, pid, total, progress }: Drain): Promise<Measure> {
  const usage = () => ({ ...servers.cpuSeconds(), writer: cpuSecondsOf(pid) });
  const from = await waitFor({ progress, records: total * WARMUP_SHARE, total });
  const before = usage();
  const to = await waitFor({ progress, records: total, total, from });
  const after = usage();
  const seconds = (to.atMs - from.atMs) / 1000;
  const records = to.records - from.records;
  const used = after.writer - before.writer + after.postgres - before.postgres;
  return {
    recordsPerSecond: records / seconds,
    writerCores: (after.writer - before.writer) / seconds,
    postgresCores: (after.postgres - before.postgres) / seconds,
    brokerCores: (after.broker - before.broker) / seconds,
    recordsPerCoreSecond: records / used,
  };
}

interface Wait {
  readonly progress: Drain['progress'];
  readonly records: number;
  readonly total: number;
  readonly from?: Progress;
}

/** Asking costs the side under measurement: wait half of what seems left before asking again. */
async function waitFor({ progress, records, total, from }: Wait): Promise<Progress> {
  let last = await progress();
  let movedAt = performance.now();
  while (last.records < records) {
    await delay(pauseMs(last, total, from));
    const now = await progress();
    if (now.records > last.records) movedAt = performance.now();
    if (performance.now() - movedAt > STALL_TIMEOUT_MS) throw new Error(`nothing was applied for a minute: ${now.records} of ${total}`);
    last = now;
  }
  return last;
}

function pauseMs(last: Progress, total: number, from: Progress | undefined): number {
  if (from === undefined || last.records <= from.records) return POLL_MS_MIN;
  const leftMs = ((total - last.records) * (last.atMs - from.atMs)) / (last.records - from.records);
  return Math.min(Math.max(leftMs / 2, POLL_MS_MIN), POLL_MS_MAX);
}
