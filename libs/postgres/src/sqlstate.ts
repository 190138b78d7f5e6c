/**
 * What a SQLSTATE means for a record that waits to be applied (W8).
 *
 * | kind | who is at fault | what follows |
 * |---|---|---|
 * | `data` | this record, whatever the server's condition | bisect, park its key |
 * | `bug` | our statement or our use of the session, whatever the record | stop and alarm; nothing is parked |
 * | `infrastructure` | the server, the link, the schema's or the account's condition; and all that is unknown | pause the slot, back off, try again |
 *
 * A mistake towards `infrastructure` costs a pause that an alarm shows; a mistake towards `data` parks keys that
 * are sound. Hence everything that is not known to be the record's fault is `infrastructure`.
 */

/** `unknown-commit` never comes from a SQLSTATE: it is a COMMIT without an answer. */
export type SqlStateKind = 'infrastructure' | 'data' | 'bug';

/** Classes (the first two characters) that are not `infrastructure`. */
const CLASSES: ReadonlyMap<string, SqlStateKind> = new Map<string, SqlStateKind>([
  ['21', 'bug'], // cardinality violation: two rows of one key in one upsert, a subquery with two rows
  ['22', 'data'], // data exception: out of range, bad text for a type, NUL in a string
  ['23', 'data'], // integrity constraint violation
  ['25', 'bug'], // invalid transaction state: BEGIN inside a transaction, a statement after a failed one
  ['42', 'data'], // syntax error or access rule violation, where no code below says otherwise
]);

/** Codes that differ from their class. */
const CODES: ReadonlyMap<string, SqlStateKind> = new Map<string, SqlStateKind>([
  // The server ends a transaction that idled or took too long, or is a standby: a condition, not our misuse.
  ['25006', 'infrastructure'], // read_only_sql_transaction: connected to a standby after a failover
  ['25P03', 'infrastructure'], // idle_in_transaction_session_timeout
  ['25P04', 'infrastructure'], // transaction_timeout
  // The shard's schema or grants are not what this program needs: a migration is missing, a restore or a grant is
  // under way. It would fail for every record, so parking them one by one would empty the slot into `parked`.
  ['42501', 'infrastructure'], // insufficient_privilege
  ['42P01', 'infrastructure'], // undefined_table
  ['42703', 'infrastructure'], // undefined_column
  ['42704', 'infrastructure'], // undefined_object: a type, a role
  ['42883', 'infrastructure'], // undefined_function
  ['42P10', 'infrastructure'], // invalid_column_reference: the index that ON CONFLICT names is missing
  // Two migrators, or a half restored schema.
  ['42P04', 'infrastructure'], // duplicate_database
  ['42P06', 'infrastructure'], // duplicate_schema
  ['42P07', 'infrastructure'], // duplicate_table
  ['42701', 'infrastructure'], // duplicate_column
  ['42710', 'infrastructure'], // duplicate_object
  ['42723', 'infrastructure'], // duplicate_function
  // The session's memory of statements is not ours, as behind a pooler; a new connection starts clean.
  ['42P05', 'infrastructure'], // duplicate_prepared_statement
  ['42P03', 'infrastructure'], // duplicate_cursor
  // The statement itself cannot be understood: parameters never change that.
  ['42601', 'bug'], // syntax_error
  ['42P02', 'bug'], // undefined_parameter
  ['42P18', 'bug'], // indeterminate_datatype
]);

/*
 * Left to `infrastructure` on purpose, though they may look like something else:
 *   0A000 "cached plan must not change result type": a migration ran; a new connection mends it
 *   07, 26 a prepared statement is gone, as behind a pooler
 *   08, 28, 3D, 3F connection, password, database or schema missing
 *   40001, 40P01 serialization failure, deadlock: the whole transaction is tried again
 *   53, 55, 57, 58 no room, a lock not to be had, cancelled or shut down, I/O error
 *   54000 also says "not accepting commands that assign new transaction ids": wraparound must not park anything
 *   P0 a trigger that somebody added to a shard
 *   XX internal error, corrupted data or index
 */

/** The kind of a five character SQLSTATE. */
export function classifySqlState(sqlState: string): SqlStateKind {
  return CODES.get(sqlState) ?? CLASSES.get(sqlState.slice(0, 2)) ?? 'infrastructure';
}
