/** The limits of a ring-manager. */

/** The owner of the tables: migrations may take their time. */
export const OWNER_POOL = { poolMax: 2, statementTimeoutMs: 60_000, idleInTransactionTimeoutMs: 60_000, connectTimeoutMs: 5_000 } as const;
export const TOPICS_TIMEOUT_MS = 30_000;
export const TOPOLOGY_LANE = { recordsPerRequestMax: 1, queuedRecordsMax: 16, queuedBytesMax: 4 * 1024 * 1024, requestTimeoutMs: 10_000 } as const;
export const DRAIN_TIMEOUT_MS = 15_000;
/** Between attempts while Kafka, the control database or a shard does not answer yet. */
export const ESTABLISH_RETRY = { baseMs: 200, maxMs: 5_000 } as const;
export const ADMIN_TOKEN_LENGTH_MIN = 16;
export const ADMIN_CONNECTIONS_MAX = 64;
