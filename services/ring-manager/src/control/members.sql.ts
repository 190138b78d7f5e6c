/** The members: the shards that take part. */
import type { Tx } from '@millrace/postgres';
import type { Member } from '@millrace/ring';
import type { ShardId } from '@millrace/write';

export interface MemberRecord extends Member {
  readonly createdAt: Date;
  readonly changedAt: Date;
}

/** Those that are not gone, by name. */
export function listMembers(control: Pick<Tx, 'query'>): Promise<readonly MemberRecord[]> {
  return control.query({
    name: 'member-list',
    text: `select shard, state, weight, created_at as "createdAt", changed_at as "changedAt" from member where state <> 'gone' order by shard`,
  });
}

/** A shard that has been a member before joins anew. */
export async function writeMember(tx: Tx, { shard, state, weight }: Member): Promise<void> {
  await tx.query({
    name: 'member-write',
    text: `insert into member (shard, state, weight) values ($1, $2, $3)
           on conflict (shard) do update set state = excluded.state, weight = excluded.weight, changed_at = now(),
             created_at = case when member.state = 'gone' then now() else member.created_at end
           where (member.state, member.weight) is distinct from (excluded.state, excluded.weight)`,
    values: [shard, state, weight],
  });
}

/** Members of a cluster that is being established, or that is older than the members' table. */
export async function seedMembers(tx: Tx, shards: readonly ShardId[]): Promise<void> {
  await tx.query({ text: `insert into member (shard, state) select u, 'active' from unnest($1::text[]) u on conflict do nothing`, values: [shards] });
}

/** Who was asked to join is active once it owns slots and no open move brings it more. The shards that this is true of now. */
export async function activateMembers(tx: Tx): Promise<readonly ShardId[]> {
  const rows = await tx.query<{ shard: ShardId }>({
    name: 'member-activate',
    text: `update member set state = 'active', changed_at = now()
           where state = 'joining'
             and shard = any (select unnest(owners) from topology where epoch = (select max(epoch) from topology))
             and not exists (select from move where target = member.shard and move.state not in ('done', 'aborted'))
           returning shard`,
  });
  return rows.map(({ shard }) => shard);
}
