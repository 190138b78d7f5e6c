/**
 * The main job: a stream of writes through the HTTP API, until all of it is applied and every saga has ended, and the
 * ledger's verdict.
 */
import { verifyLedger, type Verdict } from '@millrace/ledger';
import { sleep } from '@millrace/runtime';
import { drive, type DriveReport, type Progress, type Work } from '@millrace/workload';
import type { Receipt, Tenant } from '@millrace/write';

import { connected, type Connections } from './connect.ts';
import { count, type Output } from './output.ts';
import { isNoneOpen, standingOf, totalsOf, type OpenSagas, type Standing } from './standing.ts';
import { gatewayOf, type Target } from './target.ts';
import { untilApplied } from './until-applied.ts';

const CONNECTIONS = 32;
const BULK_CONNECTIONS = 4;
/** Full speed: a hot key's writes need not wait for one another's acks. */
const SAME_KEY_PER_BODY_MAX = 32;
const SAMPLE_EVERY_MS = 1_000;
/** How long the verdict waits for what moves once more after everything has ended: a relay that sends something again. */
const STIRRING_MS = 15_000;

export interface MainJob {
  readonly target: Target;
  readonly works: Iterable<Work> | AsyncIterable<Work>;
  readonly output: Output;
  readonly signal: AbortSignal;
}

export interface MainJobResult {
  readonly drive: DriveReport;
  /** What had not ended when nothing more came of it. */
  readonly open: OpenSagas;
  readonly verdict: Verdict;
}

/** Everything was acked and applied once, and every saga has ended as it can. */
export function isGood({ drive: report, open, verdict }: MainJobResult): boolean {
  const asExpected = Object.keys(report.unexpectedEnds).length === 0;
  return verdict.clean && report.ending.is === 'complete' && report.failed === 0 && asExpected && isNoneOpen(open);
}

/** @throws ShardSilent; where Kafka cannot be asked, or the signal aborts. */
export async function runMainJob({ target, works, output, signal }: MainJob): Promise<MainJobResult> {
  return await connected(target, async (connections) => {
    const report = await driveAndWatch({ target, works, output, signal, connections });
    signal.throwIfAborted();
    const open = await untilApplied({ look: () => standingOf(connections), output, signal });
    output.settle();
    const verdict = await verify({ connections, acked: report.receipts, requireEnded: true, waitMs: STIRRING_MS, output, signal });
    return { drive: report, open, verdict };
  });
}

/** The ledger checker over the whole log, with its progress. */
export async function verify(options: {
  readonly connections: Connections;
  readonly acked?: Iterable<Receipt>;
  /** A saga that has not ended is then a difference; otherwise it is told. */
  readonly requireEnded?: boolean;
  readonly waitMs?: number;
  readonly output: Output;
  readonly signal: AbortSignal;
}): Promise<Verdict> {
  const { connections, acked, requireEnded, waitMs, output, signal } = options;
  const { kafka, topicPrefix, shards } = connections;
  const { slots, owners } = await connections.topology();
  const verdict = await verifyLedger({
    kafka,
    topicPrefix,
    slots,
    owners,
    control: connections.control,
    shards: shards.get,
    allShardIds: shards.ids(),
    acked,
    requireEnded,
    waitMs,
    signal,
    onProgress: ({ records, recordsTotal }) => output.live(`checking the ledger: ${count(records)} of ${count(recordsTotal)} records`),
  });
  output.settle();
  return verdict;
}

async function driveAndWatch({ target, works, output, signal, connections }: MainJob & { readonly connections: Connections }): Promise<DriveReport> {
  const { url, apiKey, tenant } = gatewayOf(target);
  const over = new AbortController();
  const watch = createWatch(output);
  const sampling = sampleEvery({ connections, watch, signal: over.signal });
  try {
    return await drive({
      gatewayUrl: url,
      apiKey,
      tenant: tenant as Tenant,
      requests: works,
      connections: CONNECTIONS,
      bulkConnections: BULK_CONNECTIONS,
      sameKeyPerBodyMax: SAME_KEY_PER_BODY_MAX,
      onProgress: watch.driven,
      signal,
    });
  } finally {
    over.abort();
    await sampling;
  }
}

/** Of both streams: what an order makes of accounts and stock is work as well. */
interface Sample {
  readonly applied: bigint;
  readonly lagRecords: bigint;
  readonly openOrders: number;
  readonly atMs: number;
}

interface Watch {
  driven(progress: Progress): void;
  sampled(standing: Standing): void;
}

/** The live line, from what the driver acked and what the shards applied. */
function createWatch(output: Output): Watch {
  let progress: Progress | undefined;
  let first: Sample | undefined;
  let last: Sample | undefined;
  let appliedPerSecond = 0;
  const show = (): void => {
    if (progress === undefined) return;
    const applied = first !== undefined && last !== undefined ? last.applied - first.applied : 0n;
    const lag = last === undefined ? '-' : `${count(last.lagRecords)} records`;
    const open = last === undefined ? '-' : count(last.openOrders);
    output.live(
      `acked ${count(progress.acked)} (${count(Math.round(progress.perSecond))}/s)  ` +
        `applied ${count(applied)} (${count(appliedPerSecond)}/s)  lag ${lag}  orders open ${open}` +
        (progress.retried > 0 ? `  sent again ${count(progress.retried)}` : ''),
    );
  };
  return {
    driven: (next) => {
      progress = next;
      show();
    },
    sampled: ({ slots, sagas, open }) => {
      const atMs = performance.now();
      const { applied, lagRecords } = totalsOf([...slots, ...sagas]);
      if (last !== undefined) {
        appliedPerSecond = Math.round(Number(applied - last.applied) / ((atMs - last.atMs) / 1000));
      }
      last = { applied, lagRecords, openOrders: open.orders, atMs };
      first ??= last;
      show();
    },
  };
}

interface Sampling {
  readonly connections: Connections;
  readonly watch: Watch;
  readonly signal: AbortSignal;
}

async function sampleEvery({ connections, watch, signal }: Sampling): Promise<void> {
  while (!signal.aborted) {
    // A server that is down for a moment costs a sample, not the run.
    await standingOf(connections).then(
      (standing) => {
        if (standing.unheld === 0) watch.sampled(standing);
      },
      () => undefined,
    );
    await sleep(SAMPLE_EVERY_MS, signal).catch(() => undefined);
  }
}
