/**
 * A database: a pool of connections with every bound set, on the server where it can be.
 *
 * After any error a connection is destroyed, never handed on: what it still holds (an open transaction, a statement
 * under way, a prepared statement) dies with it.
 */
import { Pool } from 'pg';
import type { ClientConfig } from 'pg';
import { assert } from '@millrace/write';
import type { Log, Registry } from '@millrace/runtime';
import { PgError, toPgError } from './error.ts';
import { IDLE_CONNECTION_MS, KEEP_ALIVE_DELAY_MS, SILENCE_GRACE_MS } from './limits.ts';
import { postgresMetrics } from './metrics.ts';
import type { PoolUse } from './metrics.ts';
import { Session } from './session.ts';
import type { Statement } from './session.ts';
import { describe, inTransaction } from './transaction.ts';
import type { Tx, TransactionMode } from './transaction.ts';
import { columnTypes } from './types.ts';

export interface DatabaseOptions {
  /** How logs, errors and metrics call it: `shard a`, `control`. */
  readonly name: string;
  readonly url: string;
  /** What the server shows in pg_stat_activity. */
  readonly applicationName: string;
  readonly poolMax: number;
  /** The server cancels a statement after this, with SQLSTATE 57014. */
  readonly statementTimeoutMs: number;
  /** The server gives up waiting for a lock after this, with 55P03; by default only the statement's timeout holds. */
  readonly lockTimeoutMs?: number;
  /** The server ends a session that idles between two statements of a transaction; not one that stalls inside a COPY. */
  readonly idleInTransactionTimeoutMs: number;
  /** Settings of the server for every session, by name. */
  readonly settings?: Readonly<Record<string, string>>;
  /** For a new connection, and for waiting until the pool has one. */
  readonly connectTimeoutMs: number;
  readonly log: Log;
  readonly registry?: Registry;
}

export interface Database {
  readonly name: string;
  /** One statement on its own: a read, or a write that may be repeated. @throws PgError */
  query<R>(sql: Statement): Promise<readonly R[]>;
  /**
   * All or nothing. @throws PgError: of kind `unknown-commit` where the answer to COMMIT is missing;
   * and whatever else the work throws, rolled back.
   */
  transaction<T>(work: (tx: Tx) => Promise<T>, limits?: TransactionLimits): Promise<T>;
  poolUse(): PoolUse;
  /** Waits for the connections that are lent out. */
  end(): Promise<void>;
}

/** For one transaction, instead of the database's own. */
export interface TransactionLimits extends TransactionMode {
  readonly statementTimeoutMs?: number;
  readonly lockTimeoutMs?: number;
  /** Further settings of the server, by name. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** Connects when first used. */
export function createDatabase(options: DatabaseOptions): Database {
  const { name, log, registry, statementTimeoutMs } = options;
  assert(options.poolMax >= 1 && statementTimeoutMs > 0, `database ${name} has a pool and a statement timeout`);
  const pool = openPool(options);
  const metrics = registry === undefined ? undefined : postgresMetrics(registry);
  const poolUse = (): PoolUse => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount });
  let ended: Promise<void> | undefined;
  metrics?.opened(name, poolUse);
  // pg hangs the whole client on the error: its message says enough.
  pool.on('error', (error) => log.warn({ database: name, reason: error.message }, 'an idle connection was lost; the next one is new'));

  const lend = async <T>(statement: string, use: (session: Session) => Promise<T>): Promise<T> => {
    const client = await pool.connect().catch((error: unknown) => {
      throw toPgError(error, { database: name, statement: `connecting for ${statement}` });
    });
    assert(client instanceof Session, 'the pool makes sessions');
    client.silenceMaxMs = statementTimeoutMs + SILENCE_GRACE_MS;
    try {
      const result = await use(client);
      client.release();
      return result;
    } catch (error) {
      client.release(true);
      client.hangUp();
      throw error;
    }
  };
  const counted = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      if (error instanceof PgError) metrics?.failed(name, error.kind);
      throw error;
    }
  };

  return {
    name,
    poolUse,
    query: (sql) => counted(lend(describe(sql), (session) => runAlone(session, name, sql))),
    transaction: (work, limits) =>
      counted(lend('begin', (session) => inTransaction(session, name, limited(session, work, limits), limits))),
    end() {
      metrics?.ended(name);
      return (ended ??= pool.end());
    },
  };
}

function openPool(options: DatabaseOptions): Pool {
  const silenceMaxMs = options.statementTimeoutMs + SILENCE_GRACE_MS;
  class PooledSession extends Session {
    constructor(config: ClientConfig = {}) {
      super(config, silenceMaxMs);
    }
  }
  return new Pool({
    Client: PooledSession,
    connectionString: options.url,
    application_name: options.applicationName,
    options: Object.entries(options.settings ?? {}).map(([name, value]) => `-c ${name}=${value}`).join(' '),
    max: options.poolMax,
    statement_timeout: options.statementTimeoutMs,
    lock_timeout: options.lockTimeoutMs,
    idle_in_transaction_session_timeout: options.idleInTransactionTimeoutMs,
    connectionTimeoutMillis: options.connectTimeoutMs,
    idleTimeoutMillis: IDLE_CONNECTION_MS,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_DELAY_MS,
    types: columnTypes,
  });
}

async function runAlone<R>(session: Session, database: string, sql: Statement): Promise<readonly R[]> {
  const result = await session.run(sql).catch((error: unknown) => {
    throw toPgError(error, { database, statement: describe(sql) });
  });
  return result.rows as readonly R[];
}

/** The settings travel with the work's first statement. */
function limited<T>(session: Session, work: (tx: Tx) => Promise<T>, limits: TransactionLimits = {}): typeof work {
  const { statementTimeoutMs, lockTimeoutMs } = limits;
  const settings = Object.entries({
    ...(statementTimeoutMs === undefined ? {} : { statement_timeout: String(statementTimeoutMs) }),
    ...(lockTimeoutMs === undefined ? {} : { lock_timeout: String(lockTimeoutMs) }),
    ...limits.settings,
  });
  if (settings.length === 0) return work;
  return (tx) => {
    if (statementTimeoutMs !== undefined) session.silenceMaxMs = statementTimeoutMs + SILENCE_GRACE_MS;
    void tx.query({
      text: 'select set_config(name, value, true) from unnest($1::text[], $2::text[]) as s(name, value)',
      values: [settings.map(([name]) => name), settings.map(([, value]) => value)],
    });
    return work(tx);
  };
}
