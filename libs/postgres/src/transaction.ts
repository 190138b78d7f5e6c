/**
 * One transaction on a lent connection. READ COMMITTED where nothing else is asked for, because the locks are explicit.
 *
 * T1 COMMIT is sent only when every statement was answered and none failed, even if the caller looked away.
 * T2 Only the tag COMMIT means stored: on an aborted transaction COMMIT *succeeds* with the tag ROLLBACK.
 * T3 A COMMIT without an answer is `unknown-commit`, never a failure.
 * T4 Nothing is sent after a failure, and what does not begin with `select` waits for the answer to BEGIN: behind a BEGIN
 *    that failed every statement would be a transaction of its own, so only locks and reads travel with it.
 */
import { assert } from '@millrace/write';
import type { Pieces } from './copy.ts';
import { PgError, toCommitError, toPgError } from './error.ts';
import type { Session, Statement } from './session.ts';

/** Statements may be started without awaiting the one before: they are pipelined, in order. A `select` at the beginning changes no row (T4). */
export interface Tx {
  /** @throws PgError */
  query<R>(sql: Statement): Promise<readonly R[]>;
  /**
   * `copy TABLE (columns) from stdin`, text format; the pieces together are lines of `copyRow`. Takes them no faster than
   * the server does. Resolves with the number of rows. @throws PgError, and what the pieces throw
   */
  copyIn(sql: string, pieces: Pieces): Promise<number>;
  /** `copy (QUERY) to stdout`, no faster than it is read. Read it to its end: leaving costs the transaction. @throws PgError */
  copyOut(sql: string): AsyncIterable<Buffer>;
}

export interface TransactionMode {
  /** Default READ COMMITTED. `repeatable read` sees one state of the database from its first statement on. */
  readonly isolation?: 'read committed' | 'repeatable read';
  readonly readOnly?: boolean;
}

/** Runs the work and commits. The connection must be destroyed where this throws. @throws PgError, the work's error */
export async function inTransaction<T>(session: Session, database: string, work: (tx: Tx) => Promise<T>, mode: TransactionMode = {}): Promise<T> {
  const state: TxState = { session, database, underWay: new Set(), begun: Promise.resolve(), behindBegin: false, failure: undefined, open: true };
  // Not awaited: it travels with the first locks and reads.
  const begin = attended(state, tracked(state, 'begin', session.run({ text: beginText(mode) })));
  state.begun = begin.then(() => undefined, () => undefined);
  const result = await work(txOf(state)).catch((error: unknown) => {
    // Of several pipelined statements the first failure is the cause, the others follow from it.
    throw error instanceof PgError ? (state.failure ?? error) : error;
  });
  while (state.underWay.size > 0) await Promise.allSettled(state.underWay);
  state.open = false;
  if (state.failure !== undefined) throw state.failure;
  await commit(session, database);
  return result;
}

interface TxState {
  readonly session: Session;
  readonly database: string;
  readonly underWay: Set<Promise<unknown>>;
  /** Resolves when BEGIN is answered, either way. */
  begun: Promise<void>;
  /** Something waits, or has waited, for that answer; so does all that comes behind it, to keep the order. */
  behindBegin: boolean;
  failure: PgError | undefined;
  open: boolean;
}

function txOf(state: TxState): Tx {
  return {
    query<R>(sql: Statement): Promise<readonly R[]> {
      assert(state.open, 'T1: no statement after the end of its transaction');
      const answer = tracked(state, describe(sql), sent(state, sql.text, () => state.session.run(sql)));
      return attended(state, answer.then((result) => result.rows as readonly R[]));
    },
    copyIn(sql, pieces) {
      assert(state.open, 'T1: no COPY after the end of its transaction');
      const source = remembered(pieces);
      const done = tracked(state, describe({ text: sql }), sent(state, sql, () => state.session.copyIn(sql, source.pieces)));
      return attended(
        state,
        done.catch((error: unknown) => {
          throw source.failure() ?? error;
        }),
      );
    },
    async *copyOut(sql) {
      assert(state.open, 'T1: no COPY after the end of its transaction');
      const { promise: over, resolve } = Promise.withResolvers<void>();
      void attended(state, over);
      try {
        yield* await sent(state, sql, () => state.session.copyOut(sql));
      } catch (error) {
        state.failure ??= toPgError(error, { database: state.database, statement: describe({ text: sql }) });
        throw state.failure;
      } finally {
        resolve();
      }
    },
  };
}

/** T4 */
async function sent<T>(state: TxState, text: string, send: () => T | Promise<T>): Promise<T> {
  state.behindBegin ||= !/^\s*select\b/i.test(text);
  if (state.behindBegin) await state.begun;
  if (state.failure !== undefined) throw state.failure;
  return send();
}

/** What the pieces themselves throw is no fault of the database that they are sent to. */
function remembered(pieces: Pieces): { readonly pieces: Pieces; failure(): unknown } {
  if (!(Symbol.asyncIterator in pieces)) return { pieces, failure: () => undefined };
  let failure: unknown;
  async function* read(source: AsyncIterable<string | Buffer>): AsyncGenerator<string | Buffer> {
    try {
      yield* source;
    } catch (error) {
      failure = error;
      throw error;
    }
  }
  return { pieces: read(pieces), failure: () => failure };
}

function beginText({ isolation = 'read committed', readOnly = false }: TransactionMode): string {
  return `begin isolation level ${isolation} ${readOnly ? 'read only' : 'read write'}`;
}

/** T1: the transaction waits for what the work does not await, and its failure does not end the process. */
function attended<T>({ underWay }: TxState, answer: Promise<T>): Promise<T> {
  underWay.add(answer);
  const done = (): void => void underWay.delete(answer);
  answer.then(done, done);
  return answer;
}

async function tracked<T>(state: TxState, statement: string, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    const failure = toPgError(error, { database: state.database, statement });
    state.failure ??= failure;
    throw failure;
  }
}

async function commit(session: Session, database: string): Promise<void> {
  const where = { database, statement: 'commit' };
  if (session.brokenBy !== undefined) throw toPgError(session.brokenBy, where);
  assert(session.getTransactionStatus() !== 'I', 'T1: a transaction is ended by its owner, not from inside');
  const answer = await session.run({ text: 'commit' }).catch((error: unknown) => {
    throw toCommitError(error, where);
  });
  if (answer.command === 'COMMIT') return;
  throw new PgError(`COMMIT was answered with ${answer.command}: nothing is stored`, { ...where, kind: 'infrastructure' });
}

/** How a statement is called in errors: its name, or the beginning of its text. Never its values. */
export function describe({ name, text }: Statement): string {
  return name ?? text.replace(/\s+/g, ' ').trim().slice(0, 60);
}
