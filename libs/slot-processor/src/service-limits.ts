/** The limits of a process that runs a stream, towards Kafka, Postgres and the clock, with their relations asserted. */
import { assert } from '@millrace/write';

/**
 * Every statement of a turn reaches its rows through an index. A plan that is made and kept while a table is empty must
 * not scan it; and compiling a statement costs more than it takes.
 */
const BY_INDEX_ONLY = { enable_seqscan: 'off', jit: 'off' } as const;
/** A shard's pool. At once: a turn, a page of the journal for the relay, a look for slots or timers, a count of what stands; and one to spare. */
export const SHARD_POOL = { settings: BY_INDEX_ONLY, poolMax: 5, statementTimeoutMs: 30_000, lockTimeoutMs: 5_000, idleInTransactionTimeoutMs: 15_000, connectTimeoutMs: 3_000 } as const;
export const CONTROL_POOL = { poolMax: 1, statementTimeoutMs: 5_000, idleInTransactionTimeoutMs: 5_000, connectTimeoutMs: 3_000 } as const;
/** Events and messages on their way to Kafka, for each topic. */
export const LANES = { recordsPerRequestMax: 1_000, queuedRecordsMax: 20_000, queuedBytesMax: 32 * 1024 * 1024, requestTimeoutMs: 10_000 } as const;
/** Of a drain. Kubernetes' grace must be longer. */
export const DRAIN_TIMEOUT_MS = 25_000;

assert(SHARD_POOL.lockTimeoutMs < SHARD_POOL.statementTimeoutMs, 'waiting for a lock ends before the statement does');
