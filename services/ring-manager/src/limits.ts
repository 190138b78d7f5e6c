/** The limits of a ring-manager. */
import { assert } from '@millrace/write';
import { CONNECTIONS_PER_MOVE } from './move/limits.ts';

/** The owner of the tables: migrations may take their time. */
export const OWNER_POOL = { statementTimeoutMs: 60_000, idleInTransactionTimeoutMs: 60_000, connectTimeoutMs: 5_000 } as const;
/** Connections to one shard: all moves may be from or to it, and each uses so many at once; two more are for the admin API. */
export function shardPoolMax(movesMax: number): number {
  return CONNECTIONS_PER_MOVE * movesMax + 2;
}
/** A leader that sleeps inside a transaction loses it soon: it holds the row of the lease, and others wait for that. */
export const CONTROL_POOL = { poolMax: 8, statementTimeoutMs: 10_000, lockTimeoutMs: 5_000, idleInTransactionTimeoutMs: 2_000, connectTimeoutMs: 5_000 } as const;
/** Nothing else may keep a renewal waiting. */
export const LEASE_POOL = { poolMax: 1, statementTimeoutMs: 2_000, idleInTransactionTimeoutMs: 2_000, connectTimeoutMs: 2_000 } as const;
/** A leader that dies is followed within `ttlMs + retryMs` and the time of one question. */
export const LEASE = { ttlMs: 6_000, renewMs: 2_000, retryMs: 1_000 } as const;
/** The question for the lease comes round at least every few seconds: who has not asked for so long does not live. */
export const LEASE_SILENCE_MAX_MS = 120_000;
export const ENGINE_POLL_MS = 500;
/** How often plans and members are looked at while no move ends. */
export const TIE_UP_MS = 1_000;
/** After a move that the mover gave up. */
export const MOVE_RETRY = { baseMs: 1_000, maxMs: 30_000 } as const;
export const TOPICS_TIMEOUT_MS = 30_000;
export const TOPOLOGY_LANE = { recordsPerRequestMax: 1, queuedRecordsMax: 16, queuedBytesMax: 4 * 1024 * 1024, requestTimeoutMs: 10_000 } as const;
export const DRAIN_TIMEOUT_MS = 15_000;
/** Between attempts while Kafka, the control database or a shard does not answer yet. */
export const ESTABLISH_RETRY = { baseMs: 200, maxMs: 5_000 } as const;

assert(2 * LEASE.renewMs < LEASE.ttlMs, 'one renewal may fail without the term being over');
assert(CONTROL_POOL.idleInTransactionTimeoutMs < LEASE.ttlMs, 'a leader that sleeps inside a transaction keeps nobody from following it');
