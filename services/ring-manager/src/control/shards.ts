/** Shards join, change and leave: the members, and what must hold before. */
import { slotsOf } from '@millrace/ring';
import { readTopology } from '@millrace/topology';
import { must, type ShardId } from '@millrace/write';
import { admit } from './admit.ts';
import { ADMIN, audit, changing } from './change.ts';
import type { ControlContext } from './context.ts';
import { applyChanges, WEIGHT_DEFAULT, type MemberChange } from './members.ts';
import { listMembers, writeMember, type MemberRecord } from './members.sql.ts';
import { openMoves } from './moves.sql.ts';
import { refuseArrivals } from './plans.ts';
import { Refused } from '@millrace/admin';

export interface ShardView extends MemberRecord {
  /** That it owns by the newest topology. */
  readonly slots: number;
}

export async function viewShards({ control }: Pick<ControlContext, 'control'>): Promise<readonly ShardView[]> {
  const [members, topology] = await Promise.all([listMembers(control), readTopology(control)]);
  return members.map((member) => ({ ...member, slots: topology === undefined ? 0 : slotsOf(topology, member.shard).length }));
}

/** Prepares the shard's database and makes it a member that owns nothing yet. @throws Refused, PgError */
export async function addShard(context: ControlContext, { shard, weight = WEIGHT_DEFAULT }: { readonly shard: ShardId; readonly weight?: number }): Promise<ShardView> {
  refuseMember(await listMembers(context.control), shard);
  await admit(context, shard);
  await changing(context.control, async (tx) => {
    refuseMember(await listMembers(tx), shard);
    await writeMember(tx, { shard, weight, state: 'joining' });
    await audit(tx, { actor: ADMIN, action: 'shard.add', subject: `shard ${shard}`, detail: { weight } });
  });
  return viewShard(context, shard);
}

/** @throws Refused unknown_shard, last_shard, slot_moving */
export async function changeShard(context: ControlContext, change: MemberChange): Promise<ShardView> {
  await changing(context.control, async (tx) => {
    const members = await listMembers(tx);
    memberOf(members, change.shard);
    const after = memberOf(applyChanges(members, [change]), change.shard);
    if (change.state === 'draining') await refuseArrivals(tx, [change.shard]);
    await writeMember(tx, after);
    await audit(tx, { actor: ADMIN, action: 'shard.change', subject: `shard ${change.shard}`, detail: { weight: after.weight, state: after.state } });
  });
  return viewShard(context, change.shard);
}

/** Its address may go from the shards files after this. @throws Refused unknown_shard, last_shard, moves_open, shard_owns_slots */
export async function removeShard({ control }: Pick<ControlContext, 'control'>, shard: ShardId): Promise<void> {
  await changing(control, async (tx) => {
    const members = await listMembers(tx);
    const member = memberOf(members, shard);
    if (!members.some((other) => other.shard !== shard && other.state !== 'draining')) throw new Refused('last_shard', `shard ${shard} is the last one that keeps slots`);
    const open = (await openMoves(tx)).filter(({ source, target }) => source === shard || target === shard);
    if (open.length > 0) throw new Refused('moves_open', `${open.length} moves from or to shard ${shard} are not ended`, { moves: open.slice(0, 10).map(({ id }) => id) });
    const owned = slotsOf(must(await readTopology(tx), 'a cluster with members has a topology'), shard).length;
    if (owned > 0) throw new Refused('shard_owns_slots', `shard ${shard} owns ${owned} slots`, { slots: owned });
    await writeMember(tx, { ...member, state: 'gone' });
    await audit(tx, { actor: ADMIN, action: 'shard.remove', subject: `shard ${shard}` });
  });
}

async function viewShard(context: ControlContext, shard: ShardId): Promise<ShardView> {
  return memberOf(await viewShards(context), shard);
}

function memberOf<M extends { readonly shard: ShardId }>(members: readonly M[], shard: ShardId): M {
  const member = members.find((one) => one.shard === shard);
  if (member === undefined) throw new Refused('unknown_shard', `shard ${shard} is not a member`);
  return member;
}

function refuseMember(members: readonly MemberRecord[], shard: ShardId): void {
  const member = members.find((one) => one.shard === shard);
  if (member !== undefined) throw new Refused('shard_exists', `shard ${shard} is ${member.state}`);
}
