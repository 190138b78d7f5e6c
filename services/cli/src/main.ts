/** millrace: the operator's command. */
import { Command } from 'commander';

import { getCommand } from './commands/get.ts';
import { parkedCommand } from './commands/parked.ts';
import { replayCommand } from './commands/replay.ts';
import { startCommand } from './commands/start.ts';
import { statusCommand } from './commands/status.ts';
import { verifyCommand } from './commands/verify.ts';
import { writeCommand } from './commands/write.ts';
import { addGlobalOptions } from './context.ts';
import { isExpected } from './expected.ts';
import { ringCommand } from './ring/command.ts';
import { sagasCommand } from './sagas/command.ts';

const program = addGlobalOptions(
  new Command('millrace')
    .description('Kafka-backed writes, applied exactly once to sharded Postgres.')
    .showHelpAfterError('(--help shows the options)'),
);
for (const add of [startCommand, replayCommand, verifyCommand, statusCommand, ringCommand, sagasCommand, parkedCommand, writeCommand, getCommand]) add(program);

// The terminal may be gone before the work is done: a cluster still has to drain.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

try {
  await program.parseAsync();
} catch (error) {
  console.error(isExpected(error) && error instanceof Error ? `millrace: ${error.message}` : error);
  process.exitCode = 1;
}
