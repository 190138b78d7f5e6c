/** The result of a main job, for people and for programs. */
import type { Verdict } from '@millrace/ledger';
import type { DriveReport, ReplayReport } from '@millrace/workload';

import { count } from './output.ts';

export function formatDrive(drive: DriveReport): string {
  const { acked, elapsedMs, perSecond, repeatsAcked, conflicts, mismatchesAcked, retried, latency, ending } = drive;
  const lines = [
    `acked ${count(acked)} writes in ${(elapsedMs / 1000).toFixed(1)} s, ${count(Math.round(perSecond))}/s; ` +
      `ack p50 ${latency.p50Ms.toFixed(1)} ms, p99 ${latency.p99Ms.toFixed(1)} ms; ` +
      `${count(repeatsAcked)} repeats, ${count(conflicts + mismatchesAcked)} misused keys, ${count(retried)} sent again`,
  ];
  if (drive.failed > 0) lines.push(`${count(drive.failed)} were refused by the gateway: ${countsOf(drive.problems)}`);
  if (ending.is === 'stalled') lines.push(`the run stalled: ${ending.reason}`);
  if (drive.unsettled > 0) lines.push(`${count(drive.unsettled)} writes have no answer: their fate is unknown`);
  return lines.join('\n');
}

export interface Summary {
  readonly drive: DriveReport;
  readonly verdict: Verdict;
  readonly replay?: ReplayReport | undefined;
}

/** Without the receipts, which are millions. */
export function summaryOf({ drive, verdict, replay }: Summary): unknown {
  const { receipts, otherReceipts, ...rest } = drive;
  return { drive: { ...rest, receipts: receipts.size, otherReceipts: otherReceipts.size }, verdict, replay };
}

function countsOf(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts).map(([name, times]) => `${count(times)} ${name}`).join(', ');
}
