/** What a caller of the admin API is told of databases that do not answer, and of addresses that are missing. */
import { PgError } from '@millrace/postgres';
import type { Log } from '@millrace/runtime';
import { ShardsFileBroken, UnknownShard } from '@millrace/topology';
import { problem, type Problem } from '@millrace/wire';

export function problemsOf(log: Log): (error: unknown) => Problem | undefined {
  return (error) => {
    if (error instanceof UnknownShard || error instanceof ShardsFileBroken) return ofAddresses(error, log);
    if (!(error instanceof PgError) || (error.kind !== 'infrastructure' && error.kind !== 'unknown-commit')) return undefined;
    log.warn({ reason: error.message }, 'a request failed with its database');
    return error.database === 'control' ? problem('control_unavailable') : problem('shard_unavailable', `shard ${error.database}`);
  };
}

/** Why a shard has no address: what is to be mended is the file, not the database. */
function ofAddresses(error: UnknownShard | ShardsFileBroken, log: Log): Problem {
  const reason = error.cause instanceof ShardsFileBroken ? error.cause.message : error.message;
  log.warn({ reason }, 'a request failed without the address of a shard');
  return problem('shard_unavailable', reason);
}
