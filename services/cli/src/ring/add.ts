/** `millrace ring add`: a shard joins, and takes over its share. */
import type { Command } from 'commander';

import { UsageError } from '../usage-error.ts';
import type { MemberChange } from './admin-client.ts';
import type { LoadBy, Member } from './admin-schema.ts';
import { isProblem, messageOf } from '../api/api-error.ts';
import { byOption, detachOption, nextLetter, shardId, weight } from './arguments.ts';
import type { LocalShards } from './local-client.ts';
import { patiently } from './patience.ts';
import { ringContextOf, type RingContext } from './ring-context.ts';
import { openPlanWith, reportEnd, startNewPlan, waitForPlan } from './run-plan.ts';

interface AddOptions {
  readonly weight?: number;
  readonly by: LoadBy;
  readonly detach?: boolean;
}

const HELP = `
On the local cluster a new Postgres is started first. Elsewhere the shard's address must stand in the shards file
(SHARDS_FILE) of the ring-manager, the shard-writers and the gateways, under the same id: {"c": "postgres://..."}.
Acks never wait for this; the slots that move are copied while writes go on. An add that was broken off is finished by
the same command; one that is under way is waited for.

Examples:
  millrace ring add                 the next free letter, with weight 1
  millrace ring add c --weight 2    twice the load of the others`;

export function addCommand(ring: Command): void {
  ring
    .command('add')
    .description('let a shard join, and move its share of the slots to it')
    .argument('[shard]', 'its id (default on the local cluster: the next free letter)', shardId)
    .option('--weight <w>', 'its share against the others (default: 1)', weight)
    .addOption(byOption())
    .addOption(detachOption())
    .addHelpText('after', HELP)
    .action(async (shard: string | undefined, options: AddOptions, command: Command) => {
      const context = ringContextOf(command);
      await add(context, shard, options);
    });
}

async function add(context: RingContext, named: string | undefined, { weight: wished, by, detach }: AddOptions): Promise<void> {
  const { admin, local, output } = context;
  const members = await admin.shards();
  const shard = named ?? (await freeId(members, local));
  const change = changeFor(members.find((member) => member.shard === shard), { shard, weight: wished });
  if (local !== undefined && !(await local.ids()).includes(shard)) {
    output.say(`starting a Postgres for shard ${shard}`);
    await local.add(shard);
  }
  const underWay = await openPlanWith(context, (other) => other.shard === shard && other.state !== 'draining');
  const plan = underWay ?? await startNewPlan(context, { by, changes: [change] }).catch((error: unknown) => {
    throw local === undefined && isProblem(error, 'unknown_shard') ? new UsageError(`${messageOf(error)}\n${ADDRESS_FIRST}`, { cause: error }) : error;
  });
  const ended = await waitForPlan(context, plan, { detach });
  if (ended === undefined) return;
  const now = (await patiently(() => admin.shards())).find((member) => member.shard === shard);
  await reportEnd(context, ended, now === undefined ? undefined : { text: `shard ${shard} is ${now.state} and owns ${now.slots} slots`, value: { shard: now } });
}

const ADDRESS_FIRST =
  '  This cluster does not run on this machine: put the address of the shard into the shards file (SHARDS_FILE) of the ' +
  'ring-manager, the shard-writers and the gateways first, then add it by its id.';

/** One that runs and never became a member goes first: an add that was broken off. */
async function freeId(members: readonly Member[], local: LocalShards | undefined): Promise<string> {
  if (local === undefined) throw new UsageError(`Name the shard: millrace ring add SHARD.\n${ADDRESS_FIRST}`);
  const known = members.map((member) => member.shard);
  const running = await local.ids();
  return running.find((id) => !known.includes(id)) ?? nextLetter([...known, ...running]);
}

/** What is to become of a member, or of a shard that is none yet. @throws UsageError */
export function changeFor(member: Member | undefined, change: MemberChange): MemberChange {
  if (member === undefined || member.state === 'joining') return change;
  if (member.state === 'draining') return { ...change, state: 'active' };
  const { shard, weight: now, slots } = member;
  throw new UsageError(`Shard ${shard} is a member already, with weight ${now} and ${slots} slots. To change its share: millrace ring weight ${shard} WEIGHT`);
}
