/** `millrace replay`: a file of invoices through a running cluster, and the verdict. */
import { formatVerdict } from '@millrace/ledger';
import { formatReplayReport } from '@millrace/workload';
import type { Command } from 'commander';

import { contextOf } from '../context.ts';
import { isGood, runMainJob } from '../main-job.ts';
import { listenForStop } from '../stop-signal.ts';
import { formatDrive, formatOpen, summaryOf } from '../summary.ts';
import { replayed } from '../works.ts';

export function replayCommand(program: Command): void {
  program
    .command('replay')
    .argument('<file.csv>', 'InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country')
    .description('send the invoices of a file through the HTTP API, then verify; exit 0 only if the verdict is clean and every order has ended')
    .action(async (file: string, _options: unknown, command: Command) => {
      const { output, target } = contextOf(command);
      const workload = replayed(file);
      const { signal } = listenForStop(output.say);
      const result = await runMainJob({ target: target(), works: workload.works, output, signal });
      const replay = workload.report?.();
      const { drive, open, verdict } = result;
      output.say(formatDrive(drive));
      if (replay !== undefined) output.say(formatReplayReport(replay));
      output.result([...formatOpen(open), formatVerdict(verdict)].join('\n'), summaryOf({ ...result, replay }));
      if (!isGood(result)) process.exitCode = 1;
    });
}
