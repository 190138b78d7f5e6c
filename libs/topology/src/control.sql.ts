/** The queries on the control database. */
import { createTopology, type Topology } from '@millrace/ring';
import type { Tx } from '@millrace/postgres';
import { assert, must, type Epoch, type ShardId } from '@millrace/write';

/** A database, or a transaction on it. */
export type Queryable = Pick<Tx, 'query'>;

export interface Cluster {
  readonly id: string;
  readonly slots: number;
}

/** An epoch of the history: who made it, when, and why. */
export interface EpochRecord {
  readonly epoch: Epoch;
  readonly createdAt: Date;
  readonly createdBy: string;
  readonly reason: string;
}

/** The newest topology; undefined before the ring-manager has written epoch 1. */
export async function readTopology(control: Queryable): Promise<Topology | undefined> {
  const rows = await control.query<{ epoch: bigint; owners: ShardId[] }>({
    name: 'topology-newest',
    text: 'select epoch, owners from topology order by epoch desc limit 1',
  });
  const row = rows[0];
  return row && createTopology({ epoch: Number(row.epoch) as Epoch, owners: row.owners });
}

/** The topology of an epoch with its history, of the newest by default; undefined where there is none. */
export async function readEpoch(control: Queryable, epoch?: bigint): Promise<(EpochRecord & { readonly topology: Topology }) | undefined> {
  const rows = await control.query<EpochRow & { owners: ShardId[] }>({
    name: 'topology-epoch',
    text: `select epoch, owners, created_at as "createdAt", created_by as "createdBy", reason
           from topology where epoch = coalesce($1::bigint, (select max(epoch) from topology))`,
    values: [epoch ?? null],
  });
  const row = rows[0];
  if (!row) return undefined;
  const { owners, ...record } = row;
  return { ...epochRecord(record), topology: createTopology({ epoch: Number(row.epoch) as Epoch, owners }) };
}

/** The newest epochs, newest first, without their tables. */
export async function listEpochs(control: Queryable, limit: number): Promise<readonly EpochRecord[]> {
  const rows = await control.query<EpochRow>({
    name: 'topology-history',
    text: 'select epoch, created_at as "createdAt", created_by as "createdBy", reason from topology order by epoch desc limit $1',
    values: [limit],
  });
  return rows.map(epochRecord);
}

/** The identity of the cluster, made on first use. `slots` is fixed by the first call; a later one gets the first. */
export async function identifyCluster(control: Queryable, slots: number): Promise<Cluster> {
  await control.query({ text: 'insert into cluster (slots) values ($1) on conflict do nothing', values: [slots] });
  const rows = await control.query<Cluster>({ text: 'select id, slots from cluster' });
  return must(rows[0], 'the cluster row was inserted before');
}

/**
 * Makes a topology the newest. R2: compare-and-set, so false where its epoch is not the next one.
 * @throws AssertionFailed where the owners do not cover the slots.
 */
export async function proposeTopology(control: Queryable, next: Topology, by: { readonly author: string; readonly reason: string }): Promise<boolean> {
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

interface EpochRow extends Omit<EpochRecord, 'epoch'> {
  readonly epoch: bigint;
}

function epochRecord(row: EpochRow): EpochRecord {
  return { ...row, epoch: Number(row.epoch) as Epoch };
}
