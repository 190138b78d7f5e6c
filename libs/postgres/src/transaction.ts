/**
 * One transaction on a lent connection, READ COMMITTED, because the locks are explicit.
 *
 * T1 COMMIT is sent only when every statement was answered and none failed, even if the caller looked away.
 * T2 Only the tag COMMIT means stored: on an aborted transaction COMMIT *succeeds* with the tag ROLLBACK.
 * T3 A COMMIT without an answer is `unknown-commit`, never a failure.
 */
import { assert } from '@millrace/write';
import { PgError, toCommitError, toPgError } from './error.ts';
import type { Session, Statement } from './session.ts';

/** Statements may be started without awaiting the one before: they are pipelined, in order. */
export interface Tx {
  /** @throws PgError */
  query<R>(sql: Statement): Promise<readonly R[]>;
  /** `copy TABLE (columns) from stdin`, text format; the pieces together are lines of `copyRow`. @throws PgError */
  copyIn(sql: string, chunks: Iterable<string | Buffer>): Promise<void>;
}

/** Runs the work and commits. The connection must be destroyed where this throws. @throws PgError, the work's error */
export async function inTransaction<T>(session: Session, database: string, work: (tx: Tx) => Promise<T>): Promise<T> {
  const state: TxState = { session, database, underWay: new Set(), failure: undefined, open: true };
  await tracked(state, 'begin', session.run({ text: 'begin isolation level read committed' }));
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
  failure: PgError | undefined;
  open: boolean;
}

function txOf(state: TxState): Tx {
  return {
    query<R>(sql: Statement): Promise<readonly R[]> {
      assert(state.open, 'T1: no statement after the end of its transaction');
      const answer = tracked(state, describe(sql), state.session.run(sql));
      return attended(state, answer.then((result) => result.rows as readonly R[]));
    },
    copyIn(sql, chunks) {
      assert(state.open, 'T1: no COPY after the end of its transaction');
      return attended(state, tracked(state, sql, state.session.copyIn(sql, chunks)));
    },
  };
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
