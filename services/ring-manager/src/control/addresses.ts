/** Addresses of shards for a piece of work that begins: an id may have come back at another one. */
import type { Database } from '@millrace/postgres';
import { ShardsFileBroken, type Shards } from '@millrace/topology';
import type { ShardId } from '@millrace/write';

/** Looks each shard up in the file when it is first asked for; while the file is broken, what is known holds. @throws UnknownShard */
export function addressedAnew(shards: Pick<Shards, 'get' | 'renew'>): (shard: ShardId) => Database {
  const looked = new Set<ShardId>();
  return (shard) => {
    if (looked.has(shard)) return shards.get(shard);
    try {
      const database = shards.renew(shard);
      looked.add(shard);
      return database;
    } catch (error) {
      if (error instanceof ShardsFileBroken) return shards.get(shard);
      throw error;
    }
  };
}
