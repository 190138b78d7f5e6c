/**
 * Migrations go forward: each is applied once, in the order of the list, and never changes afterwards.
 *
 * All pending ones of a run are one transaction under an advisory lock, so that any number of processes may start
 * at once and a failure leaves nothing behind. Migrations of a newer program that this one does not know are left
 * alone: during a rolling update the older process must be able to start.
 */
import { hash } from 'node:crypto';
import { assert } from '@millrace/write';
import type { Log } from '@millrace/runtime';
import type { Database } from './database.ts';
import { MIGRATION_TIMEOUT_MS } from './limits.ts';
import type { Tx } from './transaction.ts';

export interface Migration {
  /** Unique and stable: `core-001`. */
  readonly id: string;
  /** One or more statements, without transaction control. */
  readonly sql: string;
}

export interface MigrateOptions {
  readonly database: Database;
  readonly migrations: readonly Migration[];
  readonly log: Log;
}

/** An applied migration's text was changed. Restore it and write a new migration instead. */
export class MigrationChanged extends Error {
  override readonly name = 'MigrationChanged';
  readonly code = 'migration_changed';
  readonly retryable = false;

  constructor(database: string, id: string, appliedAt: Date) {
    super(
      `migration ${id} was applied to database ${database} at ${appliedAt.toISOString()} with another text. ` +
        'Restore its text and put the change into a new migration',
    );
  }
}

/** Names this lock among all advisory locks of a database. */
const LOCK = 7_034_112_591_407_283_001n;

/** Applies what is pending. @throws MigrationChanged, PgError */
export async function migrate({ database, migrations, log }: MigrateOptions): Promise<void> {
  assert(new Set(migrations.map(({ id }) => id)).size === migrations.length, 'migration ids are unique');
  const done = await database.transaction((tx) => applyPending(tx, database.name, migrations), {
    statementTimeoutMs: MIGRATION_TIMEOUT_MS,
  });
  for (const id of done) log.info({ database: database.name, migration: id }, 'migration applied');
}

interface AppliedRow {
  readonly id: string;
  readonly checksum: string;
  readonly applied_at: Date;
}

async function applyPending(tx: Tx, database: string, migrations: readonly Migration[]): Promise<string[]> {
  // Before the table is made: two sessions that make it at once fail with 23505.
  await tx.query({ text: 'select pg_advisory_xact_lock($1)', values: [LOCK] });
  await tx.query({
    text: `create table if not exists migration (
             id text primary key, checksum text not null, applied_at timestamptz not null default now())`,
  });
  const rows = await tx.query<AppliedRow>({ text: 'select id, checksum, applied_at from migration' });
  const applied = new Map(rows.map((row) => [row.id, row]));
  const done: string[] = [];
  for (const { id, sql } of migrations) {
    const checksum = hash('sha256', sql, 'hex');
    const before = applied.get(id);
    if (before !== undefined && before.checksum !== checksum) throw new MigrationChanged(database, id, before.applied_at);
    if (before !== undefined) continue;
    await tx.query({ text: sql });
    await tx.query({ text: 'insert into migration (id, checksum) values ($1, $2)', values: [id, checksum] });
    done.push(id);
  }
  return done;
}
