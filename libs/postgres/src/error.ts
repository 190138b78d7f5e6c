/** The one error that leaves this room: what failed where, and who may try again. */
import { isNativeError } from 'node:util/types';
import { DatabaseError } from 'pg';
import { classifySqlState } from './sqlstate.ts';
import type { SqlStateKind } from './sqlstate.ts';

export type PgErrorKind = SqlStateKind | 'unknown-commit';

export interface PgErrorFacts {
  readonly kind: PgErrorKind;
  /** The database's name, as a shard is called in logs. */
  readonly database: string;
  /** The statement's name, or what was being done. */
  readonly statement: string;
  readonly sqlState?: string;
  readonly cause?: unknown;
}

/**
 * A database that failed us.
 *
 * `infrastructure`: try again with backoff. `data`: the record is at fault, trying again is useless.
 * `unknown-commit`: the transaction may or may not be stored; read the position again, assume nothing (W5).
 * `bug`: our statement is wrong.
 */
export class PgError extends Error {
  override readonly name = 'PgError';
  readonly code: string;
  readonly kind: PgErrorKind;
  readonly database: string;
  readonly statement: string;
  readonly sqlState: string | undefined;
  /** True where the same transaction may simply be tried again. */
  readonly retryable: boolean;

  constructor(message: string, { kind, database, statement, sqlState, cause }: PgErrorFacts) {
    const state = sqlState === undefined ? '' : ` (SQLSTATE ${sqlState})`;
    super(`database ${database}, ${statement}: ${message}${state}`, { cause });
    this.code = `postgres_${kind.replace('-', '_')}`;
    this.kind = kind;
    this.database = database;
    this.statement = statement;
    this.sqlState = sqlState;
    this.retryable = kind === 'infrastructure';
  }
}

export interface Where {
  readonly database: string;
  readonly statement: string;
}

/** What pg threw, as a PgError. */
export function toPgError(error: unknown, where: Where): PgError {
  if (error instanceof PgError) return error;
  if (error instanceof DatabaseError) {
    const sqlState = error.code;
    const kind = sqlState === undefined ? 'infrastructure' : classifySqlState(sqlState);
    return new PgError(error.message, { ...where, kind, sqlState, cause: error });
  }
  return new PgError(messageOf(error), { ...where, kind: isOurMistake(error) ? 'bug' : 'infrastructure', cause: error });
}

/**
 * What a COMMIT that did not succeed means. Only an answer of severity ERROR says that the transaction was rolled
 * back: a FATAL (shutdown while waiting for the standby) or a lost link may come after the commit record.
 */
export function toCommitError(error: unknown, where: Where): PgError {
  if (error instanceof DatabaseError && error.severity === 'ERROR') return toPgError(error, where);
  const sqlState = error instanceof DatabaseError ? error.code : undefined;
  const message = `no answer to COMMIT, it may or may not be stored: ${messageOf(error)}`;
  return new PgError(message, { ...where, kind: 'unknown-commit', sqlState, cause: error });
}

/** Values that pg cannot send, and one statement name for two texts: thrown before anything reaches the server. */
function isOurMistake(error: unknown): boolean {
  if (!isNativeError(error)) return false;
  return ['TypeError', 'RangeError', 'SyntaxError'].includes(error.name) || /^(?:Prepared statements must be unique|Query values must be an array)/.test(error.message);
}

/** A refused connection to a name with several addresses is an AggregateError with an empty message. */
function messageOf(error: unknown): string {
  if (!isNativeError(error)) return String(error);
  const { message, errors } = error as Partial<AggregateError>;
  return message === '' && errors !== undefined ? errors.map(messageOf).join('; ') : String(message);
}
