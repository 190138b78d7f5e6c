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
export const DRAIN_TIMEOUT_MS = 30_000;
/** What each step of it may take. A step that takes longer is left behind: nothing is lost, the next owner reads the rows. */
export const DRAIN = {
  /** What a service does beside its stream. */
  serviceMs: 6_500,
  /** Turns under way, and that Kafka takes their events. */
  turnsMs: 10_000,
  /** Relay positions, of all shards at once. */
  saveMs: 2_000,
  /** Committed offsets; then the group is left. */
  commitMs: 1_000,
  leaveMs: 2_000,
  /** The lanes of a topic: what the relay has given up, or a timer's shot. */
  lanesMs: 1_000,
  /** Pools, the topology, the ops port. */
  closeMs: 1_000,
} as const;

const { serviceMs, turnsMs, saveMs, commitMs, leaveMs, lanesMs, closeMs } = DRAIN;
// `outcomes` and both streams; shards, topology, control database and ops port.
assert(serviceMs + turnsMs + saveMs + commitMs + leaveMs + 3 * lanesMs + 4 * closeMs < DRAIN_TIMEOUT_MS, 'every step has its time before the drain is over');
assert(SHARD_POOL.lockTimeoutMs < SHARD_POOL.statementTimeoutMs, 'waiting for a lock ends before the statement does');
