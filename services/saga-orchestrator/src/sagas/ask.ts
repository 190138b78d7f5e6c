/** Questions to all shards at once. One that does not answer in time is named; it keeps nobody waiting. */
import { PgError, type Database } from '@millrace/postgres';
import { sleep } from '@millrace/runtime';
import { ShardsFileBroken, UnknownShard, type Shards, type TopologyFollower } from '@millrace/topology';
import { type ShardId, type Slot } from '@millrace/write';
import { ANSWER_MAX_MS } from '../limits.ts';
import { holdersOf, type Sign } from './holders.ts';
import { readSigns } from './read.sql.ts';

export interface AskInput {
  readonly shards: Pick<Shards, 'get' | 'ids'>;
  readonly topology: Pick<TopologyFollower, 'current'>;
}

/** Who holds which slot, and who could not be asked. */
export interface Reach {
  readonly holders: ReadonlyMap<Slot, ShardId>;
  /** Of those that own slots, or are about to: why each does not answer. */
  readonly silent: ReadonlyMap<ShardId, string>;
}

export interface Answers<T> {
  readonly answers: ReadonlyMap<ShardId, T>;
  readonly silent: ReadonlyMap<ShardId, string>;
}

export async function reach({ shards, topology }: AskInput): Promise<Reach> {
  const owners = new Set(topology.current().owners);
  const { answers, silent } = await askEach(shards, new Set([...owners, ...shards.ids()]), (_, database) => database.query<Sign>(readSigns()));
  const targets = new Set([...answers.values()].flatMap((signs) => signs.map(({ moved_to: target }) => target)));
  // An address of no member may be of a shard that is yet to join.
  return { holders: holdersOf(answers), silent: new Map([...silent].filter(([shard]) => owners.has(shard) || targets.has(shard))) };
}

/** @throws what is not a shard's silence. */
export async function askEach<T>(shards: Pick<Shards, 'get'>, ids: Iterable<ShardId>, ask: (shard: ShardId, database: Database) => Promise<T>): Promise<Answers<T>> {
  const answers = new Map<ShardId, T>();
  const silent = new Map<ShardId, string>();
  const one = async (shard: ShardId): Promise<void> => {
    try {
      answers.set(shard, await inTime(ask(shard, shards.get(shard))));
    } catch (error) {
      if (!isSilence(error)) throw error;
      silent.set(shard, error.message);
    }
  };
  await Promise.all([...ids].map(one));
  return { answers, silent };
}

class Silent extends Error {
  override readonly name = 'Silent';
}

/** A database without our tables is a shard that is not made yet. */
function isSilence(error: unknown): error is Error {
  if (error instanceof PgError) return error.kind === 'infrastructure' || error.sqlState === '42P01';
  return error instanceof Silent || error instanceof UnknownShard || error instanceof ShardsFileBroken;
}

async function inTime<T>(work: Promise<T>): Promise<T> {
  const over = new AbortController();
  work.catch(() => undefined);
  try {
    return await Promise.race([work, sleep(ANSWER_MAX_MS, over.signal).then(() => Promise.reject(new Silent(`no answer within ${ANSWER_MAX_MS / 1000} s`)))]);
  } finally {
    over.abort(new Silent('answered'));
  }
}
