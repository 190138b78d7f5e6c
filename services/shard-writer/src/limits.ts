/** The limits of a shard-writer towards Kafka, Postgres and the clock, with their relations asserted. */
import { assert } from '@millrace/write';

/** A shard's pool: one connection for turns, the others for the relay's reads. */
export const SHARD_POOL = { poolMax: 3, statementTimeoutMs: 30_000, lockTimeoutMs: 5_000, idleInTransactionTimeoutMs: 15_000, connectTimeoutMs: 3_000 } as const;
export const CONTROL_POOL = { poolMax: 1, statementTimeoutMs: 5_000, idleInTransactionTimeoutMs: 5_000, connectTimeoutMs: 3_000 } as const;
/** Events on their way to Kafka. */
export const OUTCOME_LANES = { recordsPerRequestMax: 1_000, queuedRecordsMax: 20_000, queuedBytesMax: 32 * 1024 * 1024, requestTimeoutMs: 10_000 } as const;
/** Kubernetes' grace must be longer. */
export const DRAIN_TIMEOUT_MS = 25_000;

assert(SHARD_POOL.lockTimeoutMs < SHARD_POOL.statementTimeoutMs, 'waiting for a lock ends before the statement does');
assert(SHARD_POOL.idleInTransactionTimeoutMs < DRAIN_TIMEOUT_MS, "a paused process's locks end before the next one gives up");
