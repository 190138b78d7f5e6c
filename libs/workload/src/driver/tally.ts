/** Everything that a run counts, and its report. */
import { type Tenant, must, unreachable } from '@millrace/write';
import type { OrderEnd, Work } from '../write.ts';
import type { Judgement } from './judge.ts';
import { type Latency, createLatencyRecorder } from './latency.ts';
import { type AckedReceipts, createReceiptStore } from './receipts.ts';

/** How many, by the name of the problem. */
export type Counts = { readonly [name: string]: number };

export interface Progress {
  /** Requests and bulk lines that left, retries included. */
  readonly sent: number;
  /** Writes that were acked: each counts once, repeats and mismatches apart. */
  readonly acked: number;
  /** Writes, repeats and mismatches that were refused for good. */
  readonly failed: number;
  /** Times that something was sent again. */
  readonly retried: number;
  /** Writes acked a second since the last progress. */
  readonly perSecond: number;
  readonly elapsedMs: number;
}

/**
 * How a run ended: every work settled; the caller's signal; or no answer settled anything for too long.
 */
export type Ending =
  | { readonly is: 'complete' }
  | { readonly is: 'aborted' }
  | { readonly is: 'stalled'; readonly reason: string };

export interface DriveReport {
  readonly ending: Ending;
  readonly elapsedMs: number;
  readonly sent: number;
  readonly acked: number;
  /** Of them, acked as lines of bulk bodies. */
  readonly ackedInBulk: number;
  /** Acked writes a second over the whole run. */
  readonly perSecond: number;
  /** Repeats of a write that were acked again. */
  readonly repeatsAcked: number;
  /** Keys misused on purpose: answered by 409. */
  readonly conflicts: number;
  /** Keys misused on purpose: accepted, so that their outcome must be `idempotency_mismatch`. */
  readonly mismatchesAcked: number;
  /** Refused for good although nothing was wrong with the key: 4xx by problem code. */
  readonly failed: number;
  readonly problems: Counts;
  /** Orders whose end a write waited for. */
  readonly endsSeen: number;
  /** Of them, those that ended in another way than they can, by that way. */
  readonly unexpectedEnds: Counts;
  readonly retried: number;
  readonly retryReasons: Counts;
  /** Taken from the source and not settled when the run ended: their fate is unknown. */
  readonly unsettled: number;
  /** Of single POSTs, each attempt by itself. */
  readonly latency: Latency;
  /** Of bulk bodies, each attempt by itself. */
  readonly bulkLatency: Latency;
  /** One receipt for each acked write. */
  readonly receipts: AckedReceipts;
  /** Receipts of repeats and mismatches. */
  readonly otherReceipts: AckedReceipts;
}

export interface Tally {
  sent(works: number): void;
  answered(durationMs: number, { bulk }: { bulk: boolean }): void;
  /** True where the work is settled by it. */
  judged(work: Work, judgement: Judgement, { bulk }: { bulk: boolean }): boolean;
  /** The end of the order that the work waited for. */
  ended(work: Work, state: OrderEnd): void;
  /** Why a gated work still waits. */
  held(reason: string): void;
  /** Works that were settled so far. */
  settled(): number;
  /** Why something was last sent again. */
  lastReason(): string;
  progress(): Progress;
  report(end: { ending: Ending; unsettled: number }): DriveReport;
}

export function createTally({ tenant, collect, nowMs }: { tenant: Tenant; collect: boolean; nowMs: () => number }): Tally {
  const startMs = nowMs();
  const receipts = createReceiptStore(tenant);
  const otherReceipts = createReceiptStore(tenant);
  const latency = createLatencyRecorder();
  const bulkLatency = createLatencyRecorder();
  const problems: Record<string, number> = {};
  const retryReasons: Record<string, number> = {};
  const unexpectedEnds: Record<string, number> = {};
  const count = { endsSeen: 0, sent: 0, acked: 0, ackedInBulk: 0, repeatsAcked: 0, mismatchesAcked: 0, conflicts: 0, failed: 0, retried: 0 };
  let lastReason = 'nothing was answered';
  let last = { acked: 0, atMs: startMs };

  const fail = (problem: string): void => {
    count.failed++;
    increment(problems, problem);
  };
  const ack = (work: Work, receipt: string, bulk: boolean): void => {
    const store = work.kind === 'write' ? receipts : otherReceipts;
    if (collect && !store.add(receipt)) return fail('no_receipt');
    if (work.kind === 'repeat') count.repeatsAcked++;
    else if (work.kind === 'mismatch') count.mismatchesAcked++;
    else {
      count.acked++;
      if (bulk) count.ackedInBulk++;
    }
  };
  return {
    sent: (works) => void (count.sent += works),
    answered: (durationMs, { bulk }) => (bulk ? bulkLatency : latency).record(durationMs),
    judged(work, judgement, { bulk }) {
      switch (judgement.is) {
        case 'acked':
          ack(work, judgement.receipt, bulk);
          return true;
        case 'conflict':
          count.conflicts++;
          return true;
        case 'failed':
          fail(judgement.problem);
          return true;
        case 'again':
          count.retried++;
          lastReason = judgement.reason;
          increment(retryReasons, judgement.reason);
          return false;
        default:
          return unreachable(judgement);
      }
    },
    settled: () => count.acked + count.repeatsAcked + count.mismatchesAcked + count.conflicts + count.failed,
    ended({ onceEnded }, state) {
      count.endsSeen++;
      if (!must(onceEnded, 'it waited for an order').as.includes(state)) increment(unexpectedEnds, state);
    },
    held: (reason) => void (lastReason = reason),
    lastReason: () => lastReason,
    progress() {
      const { sent, acked, failed, retried } = count;
      const atMs = nowMs();
      const perSecond = rate(acked - last.acked, atMs - last.atMs);
      last = { acked, atMs };
      return { sent, acked, failed, retried, perSecond, elapsedMs: atMs - startMs };
    },
    report({ ending, unsettled }) {
      const elapsedMs = nowMs() - startMs;
      return {
        ending,
        elapsedMs,
        ...count,
        perSecond: rate(count.acked, elapsedMs),
        problems,
        unexpectedEnds,
        retryReasons,
        unsettled,
        latency: latency.summary(),
        bulkLatency: bulkLatency.summary(),
        receipts,
        otherReceipts,
      };
    },
  };
}

function rate(works: number, durationMs: number): number {
  return durationMs <= 0 ? 0 : Math.round((works * 1_000) / durationMs);
}

function increment(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}
