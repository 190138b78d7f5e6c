/** `millrace ring preview` and `millrace ring start`: a plan to look at first, and its start. */
import type { Command } from 'commander';

import { UsageError } from '../usage-error.ts';
import type { MemberChange, PlanWish } from './admin-client.ts';
import type { LoadBy } from './admin-schema.ts';
import { byOption, detachOption, draining, joining, numberOf, weighing } from './arguments.ts';
import { planText } from './plan-view.ts';
import { ringContextOf, type RingContext } from './ring-context.ts';
import { reportEnd, startNewPlan, waitForPlan } from './run-plan.ts';

interface PreviewOptions {
  readonly add?: readonly MemberChange[];
  readonly weight?: readonly MemberChange[];
  readonly drain?: readonly MemberChange[];
  readonly by: LoadBy;
  readonly reverse?: string;
}

interface StartOptions {
  readonly reverse?: string;
  readonly detach?: boolean;
}

const PREVIEW_HELP = `
Changes nothing. Without any option: what would move to even out the load of the shards as they are.
'millrace ring start PLAN' starts what the preview shows.

Examples:
  millrace ring preview --add c                  what a third shard would take over
  millrace ring preview --drain a --add c=2      one leaves, a stronger one joins
  millrace ring preview --by rate                even out the writes a second
  millrace ring preview --reverse 3              back to where the slots were before plan 3`;

const NO_POSTGRES = 'on the local cluster a shard has an address when its Postgres runs: millrace ring add starts one and lets it join at once';

const START_HELP = `
Examples:
  millrace ring start 4               the plan that 'millrace ring preview' has made
  millrace ring start --reverse 3     back to where the slots were before plan 3`;

export function previewCommand(ring: Command): void {
  ring
    .command('preview')
    .description('show what a change would move, how long it takes and the load that results; nothing is changed')
    .option('--add <shard[=weight]>', 'as if this shard joined; only the start needs its address (may be given again)', joining)
    .option('--weight <shard=weight>', 'as if this shard had this weight (may be given again)', weighing)
    .option('--drain <shard>', 'as if this shard gave all its slots away (may be given again)', draining)
    .option('--reverse <plan>', 'the way back from a plan that has ended', numberOf)
    .addOption(byOption())
    .addHelpText('after', PREVIEW_HELP)
    .action(async (options: PreviewOptions, command: Command) => {
      const { admin, output, local } = ringContextOf(command);
      const plan = await admin.makePlan(wishOf(options));
      const running = await local?.ids();
      const lacksPostgres = running !== undefined && plan.changes.some(({ shard }) => !running.includes(shard));
      const next = lacksPostgres ? `\n${NO_POSTGRES}` : plan.moves.length === 0 ? '' : `\nmillrace ring start ${plan.id}   starts it`;
      output.result(`${planText(plan)}${next}`, plan);
    });
}

export function startPlanCommand(ring: Command): void {
  ring
    .command('start')
    .description('start a plan that preview has made, or the way back from one that has ended')
    .argument('[plan]', 'its number', numberOf)
    .option('--reverse <plan>', 'make and start the way back from this plan', numberOf)
    .addOption(detachOption())
    .addHelpText('after', START_HELP)
    .action(async (plan: string | undefined, { reverse, detach }: StartOptions, command: Command) => {
      if ((plan === undefined) === (reverse === undefined)) throw new UsageError('Name one plan: millrace ring start PLAN, or millrace ring start --reverse PLAN.');
      const context = ringContextOf(command);
      const ended = await waitForPlan(context, await started(context, plan, reverse), { detach });
      if (ended !== undefined) await reportEnd(context, ended);
    });
}

async function started(context: RingContext, plan: string | undefined, reverse: string | undefined) {
  return plan === undefined ? await startNewPlan(context, { reverse_of: reverse }) : await context.admin.startPlan(plan);
}

/** @throws UsageError where the options contradict each other. */
export function wishOf({ add = [], weight = [], drain = [], by, reverse }: PreviewOptions): PlanWish {
  const changes = [...add, ...weight, ...drain];
  if (reverse !== undefined && changes.length > 0) throw new UsageError('--reverse goes back to where the slots were: it takes no --add, --weight or --drain.');
  const twice = changes.find(({ shard }, index) => changes.some((other, at) => at > index && other.shard === shard));
  if (twice !== undefined) throw new UsageError(`Shard ${twice.shard} is named twice.`);
  return reverse === undefined ? { by, changes } : { reverse_of: reverse };
}
