/** `millrace ring drain` and `millrace ring remove`: a shard gives its slots away, and leaves. */
import type { Command } from 'commander';

import { UsageError } from '../usage-error.ts';
import type { LoadBy, Member, Plan } from './admin-schema.ts';
import { byOption, detachOption, shardId } from './arguments.ts';
import type { LocalShards } from './local-client.ts';
import { deletePatiently } from './patience.ts';
import { ringContextOf, type RingContext } from './ring-context.ts';
import { openPlanWith, reportEnd, waitForPlan, type Ended } from './run-plan.ts';

interface LeaveOptions {
  readonly by: LoadBy;
  readonly detach?: boolean;
}

const DRAIN_HELP = `
The shard stays a member that owns nothing: 'millrace ring add SHARD' gives it slots again, 'millrace ring remove SHARD'
takes it out. Acks never wait for this.`;

const REMOVE_HELP = `
Drains the shard, waits, and takes it out of the cluster. On the local cluster its Postgres is stopped too, and its data
deleted once it holds nothing that it owns; elsewhere its address may go from the shards files afterwards. A remove that
was broken off is finished by the same command.`;

export function drainCommand(ring: Command): void {
  ring
    .command('drain')
    .description('move every slot of a shard to the others; it stays a member')
    .argument('<shard>', 'its id', shardId)
    .addOption(byOption())
    .addOption(detachOption())
    .addHelpText('after', DRAIN_HELP)
    .action(async (shard: string, { by, detach }: LeaveOptions, command: Command) => {
      const context = ringContextOf(command);
      const ended = await drain(context, shard, { by, detach });
      if (ended !== undefined) await reportEnd(context, ended);
    });
}

export function removeCommand(ring: Command): void {
  ring
    .command('remove')
    .description('move every slot of a shard to the others, and take it out of the cluster')
    .argument('<shard>', 'its id', shardId)
    .addOption(byOption())
    .addOption(detachOption())
    .addHelpText('after', REMOVE_HELP)
    .action(async (shard: string, options: LeaveOptions, command: Command) => remove(ringContextOf(command), shard, options));
}

async function remove(context: RingContext, shard: string, { by, detach }: LeaveOptions): Promise<void> {
  const { admin, local, output } = context;
  const member = (await admin.shards()).find((one) => one.shard === shard);
  if (member === undefined) return await removeStranger(context, shard);
  const ended = await emptied(context, member, { by, detach });
  if (ended === 'detached') return;
  if (ended !== 'empty' && ended.plan.state !== 'done') return await reportEnd(context, ended);
  await deletePatiently(admin, shard);
  const fate = await stopPostgres(local, shard);
  const value = { removed: shard, ...(fate === undefined ? {} : { local: fate.value }) };
  const text = [`shard ${shard} is no member any more`, ...(fate === undefined ? [] : [fate.text])].join('\n');
  if (ended === 'empty') output.result(text, value);
  else await reportEnd(context, ended, { text, value });
}

async function emptied(context: RingContext, { shard, slots }: Member, options: LeaveOptions): Promise<Ended | 'empty' | 'detached'> {
  if (slots === 0 && (await openPlanOf(context, shard)) === undefined) return 'empty';
  return (await drain(context, shard, { ...options, then: `millrace ring remove ${shard}        afterwards, takes the shard out` })) ?? 'detached';
}

/** Undefined where the user does not wait. A drain that is under way is waited for, not begun again. */
async function drain(context: RingContext, shard: string, { by, detach, then }: LeaveOptions & { readonly then?: string }): Promise<Ended | undefined> {
  const plan = (await openPlanOf(context, shard)) ?? (await context.admin.drain(shard, by));
  return await waitForPlan(context, plan, { detach, ...(then === undefined ? {} : { then }) });
}

function openPlanOf(context: RingContext, shard: string): Promise<Plan | undefined> {
  return openPlanWith(context, (change) => change.shard === shard && change.state === 'draining');
}

/** No member: on the local cluster its Postgres may run nevertheless, of an add or a remove that was broken off. */
async function removeStranger({ local, output }: RingContext, shard: string): Promise<void> {
  const runs = local !== undefined && (await local.ids()).includes(shard);
  const fate = runs ? await stopPostgres(local, shard) : undefined;
  if (fate === undefined) throw new UsageError(`There is no shard ${shard}: see \`millrace ring status\`.`);
  output.result(`shard ${shard} was no member\n${fate.text}`, { removed: shard, local: fate.value });
}

async function stopPostgres(local: LocalShards | undefined, shard: string): Promise<{ readonly text: string; readonly value: unknown } | undefined> {
  if (local === undefined) return undefined;
  const fate = await local.remove(shard);
  const text = fate.data === 'deleted' ? 'its Postgres has stopped, its data is deleted' : `its Postgres has stopped; its data is kept: ${fate.reason ?? 'no reason was given'}`;
  return { text, value: fate };
}
