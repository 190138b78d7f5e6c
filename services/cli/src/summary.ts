/** The result of a main job, for people and for programs. */
import type { DriveReport, ReplayReport } from '@millrace/workload';

import type { MainJobResult } from './main-job.ts';
import { count } from './output.ts';
import type { OpenSagas } from './standing.ts';

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
  if (Object.keys(drive.unexpectedEnds).length > 0) lines.push(`orders ended as they must not: ${countsOf(drive.unexpectedEnds)}`);
  return lines.join('\n');
}

/** Nothing where every saga has ended. */
export function formatOpen({ orders, sagas, oldestSeconds, parkedKeys }: OpenSagas): readonly string[] {
  const parked = parkedKeys === 0 ? [] : [`NOT ENDED: records of sagas wait at ${count(parkedKeys)} parked keys: npm run millrace -- parked list`];
  if (sagas === 0) return parked;
  return [
    `NOT ENDED: ${count(orders)} orders, ${count(sagas - orders)} returns and transfers, the oldest ${count(oldestSeconds)} s old; ` +
      'what they wait for: npm run millrace -- sagas list',
    ...parked,
  ];
}

export interface Summary extends MainJobResult {
  readonly replay?: ReplayReport | undefined;
}

/** Without the receipts, which are millions. */
export function summaryOf({ drive, open, verdict, replay }: Summary): unknown {
  const { receipts, otherReceipts, ...rest } = drive;
  return { drive: { ...rest, receipts: receipts.size, otherReceipts: otherReceipts.size }, open, verdict, replay };
}

function countsOf(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts).map(([name, times]) => `${count(times)} ${name}`).join(', ');
}
