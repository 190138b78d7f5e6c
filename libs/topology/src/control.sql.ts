/** The queries on the control database. */
import { createTopology, type Topology } from '@millrace/ring';
import type { Database } from '@millrace/postgres';
import { assert, must, type Epoch, type ShardId } from '@millrace/write';

export interface Cluster {
  readonly id: string;
  readonly slots: number;
}

/** The newest topology; undefined before the ring-manager has written epoch 1. */
export async function readTopology(control: Database): Promise<Topology | undefined> {
  const rows = await control.query<{ epoch: bigint; owners: ShardId[] }>({
    name: 'topology-newest',
    text: 'select epoch, owners from topology order by epoch desc limit 1',
  });
  const row = rows[0];
  return row && createTopology({ epoch: Number(row.epoch) as Epoch, owners: row.owners });
}

/** The identity of the cluster, made on first use. `slots` is fixed by the first call; a later one gets the first. */
export async function identifyCluster(control: Database, slots: number): Promise<Cluster> {
  await control.query({ text: 'insert into cluster (slots) values ($1) on conflict do nothing', values: [slots] });
  const rows = await control.query<Cluster>({ text: 'select id, slots from cluster' });
  return must(rows[0], 'the cluster row was inserted before');
}

/**
 * Makes a topology the newest. R2: compare-and-set, so false where its epoch is not the next one.
 * @throws AssertionFailed where the owners do not cover the slots.
 */
export async function proposeTopology(control: Database, next: Topology, by: { readonly author: string; readonly reason: string }): Promise<boolean> {
  assert(next.owners.length === next.slots, 'R1: every slot has exactly one owner');
  const rows = await control.query({
    text: `insert into topology (epoch, owners, created_by, reason)
           select $1, $2, $3, $4
           where $1::bigint = coalesce((select max(epoch) from topology), 0) + 1
           on conflict do nothing
           returning epoch`,
    values: [next.epoch, next.owners, by.author, by.reason],
  });
  return rows.length === 1;
}
