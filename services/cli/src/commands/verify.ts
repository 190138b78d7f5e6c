/** `millrace verify`: both logs against the shards. Orders that are open are told, or with `--ended` waited for. */
import { formatVerdict } from '@millrace/ledger';
import type { Command } from 'commander';

import { connected } from '../connect.ts';
import { contextOf, wholeNumber } from '../context.ts';
import { verify } from '../main-job.ts';
import { listenForStop } from '../stop-signal.ts';

export function verifyCommand(program: Command): void {
  program
    .command('verify')
    .description('fold both logs from their start and compare them with every shard, and count how orders, returns and transfers ended; exit 0 only if they agree')
    .option('--wait <seconds>', 'for the shards to apply what the log holds now', wholeNumber(0, 86_400), 30)
    .option('--ended', 'wait for the end of every saga as well, and hold it against the cluster if one is open then')
    .action(async ({ wait, ended }: { readonly wait: number; readonly ended?: boolean }, command: Command) => {
      const { output, target } = contextOf(command);
      const { signal } = listenForStop(output.say);
      const verdict = await connected(target(), (connections) => verify({ connections, requireEnded: ended === true, waitMs: wait * 1000, output, signal }));
      output.result(formatVerdict(verdict), verdict);
      if (!verdict.clean) process.exitCode = 1;
    });
}
