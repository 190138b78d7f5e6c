/** `millrace ring`: which shards take part, and which slots move. */
import type { Command } from 'commander';

import { addCommand } from './add.ts';
import { historyCommand } from './history.ts';
import { drainCommand, removeCommand } from './leave.ts';
import { moveCommand } from './move.ts';
import { previewCommand, startPlanCommand } from './preview.ts';
import { addAdminOptions } from './ring-context.ts';
import { statusRingCommand } from './status.ts';
import { steerCommands } from './steer.ts';
import { verifyMoveCommand } from './verify.ts';
import { weightCommand } from './weight.ts';

const HELP = `
A slot is a part of all keys; a shard is a Postgres that owns some slots. A change of the shards makes a plan; a plan is
a number of moves, one a slot. Writes are acknowledged all the while; a slot that moves is unapplied for a moment only.

  millrace ring add               a shard joins (on the local cluster with a new Postgres)
  millrace ring status --watch    how it goes
  millrace ring remove c          a shard leaves`;

export function ringCommand(program: Command): void {
  const ring = addAdminOptions(program.command('ring').description('shards that join, leave or change their share, and the slots that move'));
  ring.addHelpText('after', HELP);
  for (const add of [statusRingCommand, previewCommand, startPlanCommand, addCommand, weightCommand, drainCommand, removeCommand, moveCommand, steerCommands, verifyMoveCommand, historyCommand]) add(ring);
}
