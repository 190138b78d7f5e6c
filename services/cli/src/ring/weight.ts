/** `millrace ring weight`: another share for a member. */
import type { Command } from 'commander';

import { UsageError } from '../usage-error.ts';
import type { LoadBy } from './admin-schema.ts';
import { byOption, detachOption, shardId, weight } from './arguments.ts';
import { planText } from './plan-view.ts';
import { ringContextOf, type RingContext } from './ring-context.ts';
import { reportEnd, startNewPlan, waitForPlan } from './run-plan.ts';

interface WeightOptions {
  readonly by: LoadBy;
  readonly detach?: boolean;
}

const HELP = `
A shard of weight 2 gets twice the load of one of weight 1.

Example:
  millrace ring weight a 0.5    half the load of the others`;

export function weightCommand(ring: Command): void {
  ring
    .command('weight')
    .description('give a shard another share, and move the slots that follow from it')
    .argument('<shard>', 'its id', shardId)
    .argument('<weight>', 'above 0, at most 1000', weight)
    .addOption(byOption())
    .addOption(detachOption())
    .addHelpText('after', HELP)
    .action(async (shard: string, wished: number, options: WeightOptions, command: Command) => changeWeight(ringContextOf(command), { shard, weight: wished }, options));
}

async function changeWeight(context: RingContext, change: { readonly shard: string; readonly weight: number }, { by, detach }: WeightOptions): Promise<void> {
  const { admin, output } = context;
  const { shard, weight: wished } = change;
  // A plan lets a shard that it does not know join.
  if (!(await admin.shards()).some((member) => member.shard === shard)) throw new UsageError(`Shard ${shard} is no member. To let it join: millrace ring add ${shard} --weight ${wished}`);
  const wish = { by, changes: [change] };
  const preview = await admin.makePlan(wish);
  if (preview.moves.length === 0) {
    const member = await admin.changeShard(change);
    output.result(`${planText(preview)}\nshard ${shard} has weight ${wished} now`, { plan: preview, shard: member });
    return;
  }
  const ended = await waitForPlan(context, await startNewPlan(context, wish, preview), { detach });
  if (ended !== undefined) await reportEnd(context, ended);
}
