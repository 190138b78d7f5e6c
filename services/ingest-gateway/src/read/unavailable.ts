/** What a client hears when a shard cannot answer. */
import { PgError } from '@millrace/postgres';
import { UnknownShard } from '@millrace/topology';
import type { ShardId } from '@millrace/write';
import { Refusal } from '../http/answer.ts';

/** True for errors that pass by themselves: the shard is down, or not yet in the shards file. */
export function isOutage(error: unknown): boolean {
  return (error instanceof PgError && error.retryable) || error instanceof UnknownShard;
}

export function shardUnavailable(shard: ShardId): Refusal {
  return new Refusal('shard_unavailable', `shard ${shard}`, { retryAfterS: 1 });
}

export function notYetApplied(): Refusal {
  return new Refusal('not_yet_applied', undefined, { retryAfterS: 1 });
}
