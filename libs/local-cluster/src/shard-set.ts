/**
 * The shards of a running cluster: one may join and one may leave at a time.
 *
 * A shard joins when its Postgres answers, and only then do the files name it; one that leaves is struck from the
 * files before its Postgres stops. So no file ever names a shard that never was there. Its data is deleted only where
 * it is no member any more and its rows say that it owns nothing.
 */
import { SHARD_ID_PATTERN, assert } from '@millrace/write';

import { SHARDS_MAX } from './layout.ts';
import type { Postgres } from './postgres.ts';
import { Refusal } from './refusal.ts';
import type { Shard } from './servers.ts';

export interface ShardSet {
  /** Those that the files name. */
  readonly joined: readonly Shard[];
  /** And the one that is joining or leaving now. */
  readonly servers: readonly Postgres[];
  /** False where it was there before. @throws Refusal */
  add(id: string): Promise<boolean>;
  /** @throws Refusal */
  remove(id: string): Promise<Removed>;
  /** Nobody joins or leaves any more; who was about to join is stopped. */
  close(): Promise<void>;
}

export interface Removed {
  readonly data: 'deleted' | 'kept';
  /** Why it was kept. */
  readonly reason?: string;
}

export interface ShardSetInput {
  readonly shards: readonly Shard[];
  /** Not started. */
  readonly make: (id: string) => Promise<Shard>;
  /** Writes the files that name the shards. */
  readonly save: (shards: readonly Shard[]) => void;
  /** @throws Refusal where it must stay */
  readonly mayGo: (shard: Shard) => Promise<'empty' | { readonly unknown: string }>;
  readonly deleteData: (id: string) => void;
}

export function createShardSet({ shards, make, save, mayGo, deleteData }: ShardSetInput): ShardSet {
  let joined = shards;
  let passing: Postgres | undefined;
  let last: Promise<unknown> = Promise.resolve();
  let closed = false;

  /** One after the other. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = last.then(() => {
      refuseClosed();
      return work();
    });
    last = mine.catch(() => undefined);
    return mine;
  };

  const refuseClosed = (): void => {
    if (closed) throw new Refusal('cluster_stopping', 'no shard joins or leaves any more');
  };

  const start = async (id: string): Promise<Shard> => {
    const shard = await make(id);
    refuseClosed();
    passing = shard.postgres;
    await passing.start();
    return shard;
  };

  const add = async (id: string): Promise<boolean> => {
    assert(SHARD_ID_PATTERN.test(id), `${id} is a shard id`);
    if (joined.some((shard) => shard.id === id)) return false;
    if (joined.length >= SHARDS_MAX) throw new Refusal('too_many_shards', `there are ${joined.length} of at most ${SHARDS_MAX}`);
    const before = joined;
    try {
      const shard = await start(id);
      joined = [...before, shard];
      save(joined);
      return true;
    } catch (error) {
      joined = before;
      await passing?.stop();
      throw error instanceof Refusal ? error : new Refusal('shard_not_started', messageOf(error), { cause: error });
    } finally {
      passing = undefined;
    }
  };

  const remove = async (id: string): Promise<Removed> => {
    const shard = joined.find((one) => one.id === id);
    if (shard === undefined) throw new Refusal('unknown_local_shard', `there is no shard ${id}, but ${joined.map((one) => one.id).join(', ')}`);
    if (joined.length === 1) throw new Refusal('only_shard', `${id} is the only shard`);
    const rows = await mayGo(shard);
    await strike(shard);
    if (rows !== 'empty') return { data: 'kept', reason: `its rows could not be looked at: ${rows.unknown}` };
    try {
      deleteData(id);
      return { data: 'deleted' };
    } catch (error) {
      return { data: 'kept', reason: messageOf(error) };
    }
  };

  const strike = async (shard: Shard): Promise<void> => {
    const before = joined;
    joined = before.filter((one) => one !== shard);
    passing = shard.postgres;
    try {
      save(joined);
      await shard.postgres.stop();
    } catch (error) {
      joined = before;
      throw error;
    } finally {
      passing = undefined;
    }
  };

  return {
    get joined() {
      return joined;
    },
    get servers() {
      const known = joined.map((shard) => shard.postgres);
      return passing === undefined || known.includes(passing) ? known : [...known, passing];
    },
    add: (id) => inTurn(() => add(id)),
    remove: (id) => inTurn(() => remove(id)),
    close: async () => {
      closed = true;
      await passing?.stop();
      await last;
    },
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
