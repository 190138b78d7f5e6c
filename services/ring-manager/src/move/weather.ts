/** What may be otherwise in a while, without anybody's doing: a shard that does not answer, a commit whose answer is missing, rows that have to be read again. */
import { PgError } from '@millrace/postgres';

export function isWeather(error: unknown): boolean {
  if (error instanceof PgError) return error.kind === 'infrastructure' || error.kind === 'unknown-commit';
  return typeof error === 'object' && error !== null && 'retryable' in error && error.retryable === true;
}
