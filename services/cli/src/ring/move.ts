/** `millrace ring move`: one slot by hand. */
import type { Command } from 'commander';

import { listenForStop } from '../stop-signal.ts';
import { detachOption, shardId, slot } from './arguments.ts';
import { followMove } from './follow.ts';
import { summaryOf, summaryText } from './moves-summary.ts';
import { ringContextOf } from './ring-context.ts';
import { DETACHED_EXIT_CODE } from './run-plan.ts';

export function moveCommand(ring: Command): void {
  ring
    .command('move')
    .description('move one slot to a shard, by hand')
    .argument('<slot>', 'its number', slot)
    .argument('<shard>', 'where it is to go', shardId)
    .addOption(detachOption())
    .addHelpText('after', '\nThe next plan may move it again: a slot stays by itself only where the load is even with it.')
    .action(async (number: number, target: string, { detach = false }: { readonly detach?: boolean }, command: Command) => {
      const { admin, output } = ringContextOf(command);
      const move = await admin.makeMove(number, target);
      const { signal } = listenForStop(() => undefined);
      const ended = detach ? undefined : await followMove({ admin, output, signal }, move.id);
      output.settle();
      if (ended === undefined) {
        const text = `move ${move.id} goes on by itself: millrace ring status --watch, millrace ring pause|abort --move ${move.id}`;
        output.result(text, { move, detached: true });
        if (!detach) process.exitCode = DETACHED_EXIT_CODE;
        return;
      }
      const summary = summaryOf([ended]);
      output.result(`move ${ended.id} of slot ${ended.slot} from ${ended.source} to ${ended.target} is ${ended.state}\n${summaryText(summary)}`, { move: ended, summary });
      if (ended.state !== 'done') process.exitCode = 1;
    });
}
