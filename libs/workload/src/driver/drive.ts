/**
 * Sends a stream of writes to the gateway over HTTP: single POSTs and bulk bodies side by side, with retries under
 * the same idempotency key, and collects what was acked.
 *
 * The gateway keeps the order of a key only as it acks, so the driver keeps it by D1 and D2 (`schedule.ts`).
 */
import { type Tenant, assert } from '@millrace/write';
import { setMaxListeners } from 'node:events';
import { Pool } from 'undici';
import {
  ANSWER_TIMEOUT_MS,
  BULK_LINES_DEFAULT,
  BULK_LINES_MAX,
  CONNECTIONS_MAX,
  CONNECT_TIMEOUT_MS,
  GATEKEEPERS,
  PROGRESS_EVERY_MS,
  STALL_DEFAULT_MS,
} from '../limits.ts';
import type { Work } from '../write.ts';
import { createCounter } from './counter.ts';
import { runGatekeeper } from './gate.ts';
import { type Sending, runSender } from './sender.ts';
import { readSource } from './source.ts';
import { type DriveReport, type Ending, type Progress, type Tally, createTally } from './tally.ts';

export interface DriveOptions {
  /** `http://host:port` */
  readonly gatewayUrl: string;
  readonly apiKey: string;
  /** Whose receipts the gateway gives to that key. */
  readonly tenant: Tenant;
  readonly requests: Iterable<Work> | AsyncIterable<Work>;
  /** Connections that send single POSTs. */
  readonly connections: number;
  /** Connections that send NDJSON bodies; none by default. */
  readonly bulkConnections?: number;
  /** Lines of a bulk body at most. */
  readonly bulkLines?: number;
  /**
   * Writes of one key in one bulk body at most, in order. With 1, each waits for the ack of the one before, and
   * no failure can change their order. With more, hot keys do not hold up the stream; but where a line fails and a
   * later one of its key is acked, the failed one is sent again behind it. 1 by default.
   */
  readonly sameKeyPerBodyMax?: number;
  /** Writes a second; full speed where absent. */
  readonly ratePerSecond?: number;
  /** False: acks are counted, receipts are neither read nor kept. */
  readonly receipts?: boolean;
  /** The run ends where nothing is settled for so long. */
  readonly stallMs?: number;
  readonly onProgress?: (progress: Progress) => void;
  readonly progressEveryMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Drives the stream to its end. Ends early, with a report of what was acked, by `signal` or where the gateway does
 * not answer (`stallMs`). @throws what the source throws.
 */
export async function drive(options: DriveOptions): Promise<DriveReport> {
  const { connections, bulkConnections = 0, sameKeyPerBodyMax = 1, stallMs = STALL_DEFAULT_MS, receipts = true } = options;
  checkOptions(options);
  const nowMs = (): number => performance.now();
  const tally = createTally({ tenant: options.tenant, collect: receipts, nowMs });
  const counter = createCounter({ hasSingles: connections > 0, takesRuns: bulkConnections > 0 && sameKeyPerBodyMax > 1 });
  const halt = createHalt(options.signal, counter.shut);
  const pool = createPool(options.gatewayUrl, connections + bulkConnections + GATEKEEPERS);
  const watch = watchRun({ options, tally, outstanding: counter.size, stallMs, nowMs, stall: halt.stall });
  const sending: Sending = { pool, apiKey: options.apiKey, counter, tally, receipts, stop: halt.stop, nowMs };
  const fail = (error: unknown): never => {
    halt.fail();
    throw error;
  };
  const closed = destroyOn(halt.stop, pool);
  const senders = startSenders(sending, options).map((sender) => sender.catch(fail));
  const gatekeepers = Array.from({ length: GATEKEEPERS }, () => runGatekeeper(sending).catch(fail));
  const { requests, ratePerSecond } = options;
  const source = readSource({ requests, counter, ratePerSecond, stop: halt.stop, nowMs }).catch(fail);
  try {
    throwFirst(await Promise.allSettled([source, ...senders, ...gatekeepers]));
    return tally.report({ ending: halt.ending(), unsettled: counter.size() });
  } finally {
    clearInterval(watch);
    halt.release();
    await (closed.done() ?? pool.close());
    options.onProgress?.(tally.progress());
  }
}

function checkOptions({ connections, bulkConnections = 0, bulkLines = 2, sameKeyPerBodyMax = 1 }: DriveOptions): void {
  assert(connections >= 0 && bulkConnections >= 0, 'connections are counted from 0');
  const all = connections + bulkConnections;
  assert(all >= 1 && all <= CONNECTIONS_MAX, `1 to ${CONNECTIONS_MAX} connections`);
  assert(bulkLines >= 2 && bulkLines <= BULK_LINES_MAX, `2 to ${BULK_LINES_MAX} lines of a bulk body`);
  assert(sameKeyPerBodyMax >= 1, 'a bulk body holds at least one write of a key');
}

function createPool(gatewayUrl: string, connections: number): Pool {
  return new Pool(gatewayUrl, {
    connections,
    pipelining: 1,
    headersTimeout: ANSWER_TIMEOUT_MS,
    bodyTimeout: ANSWER_TIMEOUT_MS,
    connect: { timeout: CONNECT_TIMEOUT_MS },
  });
}

function startSenders(sending: Sending, { connections, bulkConnections = 0, bulkLines, sameKeyPerBodyMax }: DriveOptions): Promise<void>[] {
  const bulk = { max: bulkLines ?? BULK_LINES_DEFAULT, sameKeyMax: sameKeyPerBodyMax ?? 1 };
  return [
    ...Array.from({ length: connections }, () => runSender(sending, { max: 1, sameKeyMax: 1 })),
    ...Array.from({ length: bulkConnections }, () => runSender(sending, bulk)),
  ];
}

interface Halt {
  readonly stop: AbortSignal;
  ending(): Ending;
  stall(reason: string): void;
  fail(): void;
  release(): void;
}

/** The ways in which a run ends early; the first one counts. */
function createHalt(signal: AbortSignal | undefined, shut: () => void): Halt {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  let ending: Ending = { is: 'complete' };
  const halt = (next: Ending): void => {
    if (controller.signal.aborted) return;
    ending = next;
    controller.abort();
    shut();
  };
  const onAbort = (): void => halt({ is: 'aborted' });
  signal?.addEventListener('abort', onAbort, { once: true });
  if (signal?.aborted) onAbort();
  return {
    stop: controller.signal,
    ending: () => ending,
    stall: (reason) => halt({ is: 'stalled', reason }),
    fail: onAbort,
    release: () => signal?.removeEventListener('abort', onAbort),
  };
}

interface Watching {
  readonly options: DriveOptions;
  readonly tally: Tally;
  /** Works that are read and not settled. */
  readonly outstanding: () => number;
  readonly stallMs: number;
  readonly nowMs: () => number;
  readonly stall: (reason: string) => void;
}

/** Tells the progress, and the stall: works are outstanding, and none is settled for `stallMs`. */
function watchRun({ options, tally, outstanding, stallMs, nowMs, stall }: Watching): NodeJS.Timeout {
  let seen = { settled: 0, atMs: nowMs() };
  return setInterval(() => {
    options.onProgress?.(tally.progress());
    const settled = tally.settled();
    if (settled > seen.settled || outstanding() === 0) seen = { settled, atMs: nowMs() };
    else if (nowMs() - seen.atMs >= stallMs) stall(tally.lastReason());
  }, options.progressEveryMs ?? PROGRESS_EVERY_MS);
}

/** Cuts what is in flight at the end of an early halt. */
function destroyOn(stop: AbortSignal, pool: Pool): { done(): Promise<void> | undefined } {
  let destroyed: Promise<void> | undefined;
  const destroy = (): void => void (destroyed = pool.destroy());
  stop.addEventListener('abort', destroy, { once: true });
  if (stop.aborted) destroy();
  return { done: () => destroyed };
}

function throwFirst(results: readonly PromiseSettledResult<void>[]): void {
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
