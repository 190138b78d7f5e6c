/** One snapshot of every shard, open together. */
import type { Database, Tx } from '@millrace/postgres';
import type { ShardId } from '@millrace/write';
import { openSnapshot } from './read-shard.ts';

/** An open transaction on each shard. */
export type Snapshots = ReadonlyMap<ShardId, Tx>;

/** Runs `work` with one snapshot of every shard open, all of them until it ends. */
export async function withSnapshots<T>(shards: readonly ShardId[], database: (id: ShardId) => Database, work: (snapshots: Snapshots) => Promise<T>): Promise<T> {
  const open = async (rest: readonly ShardId[], opened: Snapshots): Promise<T> => {
    const [shard, ...others] = rest;
    if (shard === undefined) return work(opened);
    return database(shard).transaction(async (tx) => {
      await openSnapshot(tx);
      return open(others, new Map(opened).set(shard, tx));
    });
  };
  return open(shards, new Map());
}

/** The shards at once: each transaction is one connection, so what a shard is asked stays one after the other. */
export async function forEachShard<T>(snapshots: Snapshots, work: (shard: ShardId, tx: Tx) => Promise<T>): Promise<readonly T[]> {
  return Promise.all([...snapshots].map(([shard, tx]) => work(shard, tx)));
}
