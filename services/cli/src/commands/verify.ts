/** `millrace verify`: the whole log against the shards. */
import { formatVerdict } from '@millrace/ledger';
import type { Command } from 'commander';

import { connected } from '../connect.ts';
import { contextOf, wholeNumber } from '../context.ts';
import { verify } from '../main-job.ts';
import { listenForStop } from '../stop-signal.ts';

export function verifyCommand(program: Command): void {
  program
    .command('verify')
    .description('fold the log from its start and compare it with every shard; exit 0 only if they agree')
    .option('--wait <seconds>', 'for the shards to apply what the log holds now', wholeNumber(0, 86_400), 30)
    .action(async ({ wait }: { readonly wait: number }, command: Command) => {
      const { output, target } = contextOf(command);
      const { signal } = listenForStop(output.say);
      const verdict = await connected(target(), (connections) => verify({ connections, waitMs: wait * 1000, output, signal }));
      output.result(formatVerdict(verdict), verdict);
      if (!verdict.clean) process.exitCode = 1;
    });
}
