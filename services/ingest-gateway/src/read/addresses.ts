/** The databases of the shards as reads find them: a shard that joined may be named before its address is known here. */
import type { Database } from '@millrace/postgres';
import type { Log } from '@millrace/runtime';
import type { ShardId } from '@millrace/write';

export interface Addresses {
  /** Undefined where the shards file does not name the shard, or cannot be read while it is changed. */
  find(shard: ShardId): Database | undefined;
}

/** The file is not read again sooner, however many reads ask. */
const LOOK_INTERVAL_MS = 50;

/** `database` throws where it finds no address. */
export function createAddresses({ database, log }: { database: (shard: ShardId) => Database; log: Log }): Addresses {
  const missedAtMs = new Map<ShardId, number>();
  return {
    find(shard) {
      const missed = missedAtMs.get(shard);
      if (missed !== undefined && performance.now() - missed < LOOK_INTERVAL_MS) return undefined;
      try {
        const found = database(shard);
        missedAtMs.delete(shard);
        return found;
      } catch (error) {
        if (missed === undefined) log.warn({ shard, error }, 'reads wait for the address of a shard: the shards file must name it');
        missedAtMs.set(shard, performance.now());
        return undefined;
      }
    },
  };
}
