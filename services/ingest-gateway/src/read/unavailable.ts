/** What a client hears when a shard cannot answer. */
import { PgError } from '@millrace/postgres';
import { Refusal } from '../http/answer.ts';

/** True for errors that pass by themselves: the shard is down. */
export function isOutage(error: unknown): boolean {
  return error instanceof PgError && error.retryable;
}

export function shardUnavailable(detail: string): Refusal {
  return new Refusal('shard_unavailable', detail, { retryAfterS: 1 });
}

export function notYetApplied(detail?: string): Refusal {
  return new Refusal('not_yet_applied', detail, { retryAfterS: 1 });
}
