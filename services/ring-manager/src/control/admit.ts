/** Whether a database may become a shard of this cluster, and making it one. */
import { examineShard, ForeignShard, prepareShard, WrongSchema } from '@millrace/slot-processor';
import { MigrationChanged, type Database } from '@millrace/postgres';
import type { Log } from '@millrace/runtime';
import { UnknownShard, type Cluster, type Shards } from '@millrace/topology';
import type { ShardId } from '@millrace/write';
import { Refused } from '@millrace/admin';

export interface AdmitInput {
  readonly shards: Shards;
  readonly cluster: Cluster;
  readonly log: Log;
}

/** Reads only. @throws Refused unknown_shard, foreign_shard, wrong_schema; ShardsFileBroken; PgError where the shard does not answer. */
export async function examine({ shards, cluster }: AdmitInput, shard: ShardId): Promise<Database> {
  return refusing(async () => {
    const database = shards.renew(shard);
    await examineShard({ database, identity: { clusterId: cluster.id, shard, slots: cluster.slots } });
    return database;
  });
}

/** Makes its tables. Safe to repeat. @throws as `examine`. */
export async function admit(input: AdmitInput, shard: ShardId): Promise<void> {
  const { cluster, log } = input;
  const database = await examine(input, shard);
  await refusing(() => prepareShard({ database, identity: { clusterId: cluster.id, shard, slots: cluster.slots }, log }));
}

async function refusing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof UnknownShard) throw new Refused('unknown_shard', error.message);
    if (error instanceof ForeignShard) throw new Refused('foreign_shard', error.message);
    if (error instanceof WrongSchema || error instanceof MigrationChanged) throw new Refused('wrong_schema', error.message);
    throw error;
  }
}
