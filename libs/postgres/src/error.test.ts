import { describe, expect, test } from '@jest/globals';
import { DatabaseError } from 'pg';
import { toCommitError, toPgError } from './error.ts';

const where = { database: 'shard a', statement: 'journal_insert' };

function answer(severity: string, code: string): DatabaseError {
  return Object.assign(new DatabaseError('told by the server', 0, 'error'), { severity, code });
}

describe('an error of the database', () => {
  test('names the database, the statement and the SQLSTATE', () => {
    const error = toPgError(answer('ERROR', '57014'), where);
    expect(error.message).toBe('database shard a, journal_insert: told by the server (SQLSTATE 57014)');
    expect(error).toMatchObject({ kind: 'infrastructure', code: 'postgres_infrastructure', retryable: true, sqlState: '57014' });
  });

  test('a lost link is infrastructure, also one whose code has the shape of a SQLSTATE', () => {
    for (const code of ['ECONNRESET', 'EPIPE']) {
      expect(toPgError(Object.assign(new Error('lost'), { code }), where)).toMatchObject({ kind: 'infrastructure', sqlState: undefined });
    }
  });

  test('a connection refused at every address says so', () => {
    const refused = new AggregateError([new Error('connect ECONNREFUSED ::1:1'), new Error('connect ECONNREFUSED 127.0.0.1:1')]);
    expect(toPgError(refused, where).message).toContain('connect ECONNREFUSED ::1:1; connect ECONNREFUSED 127.0.0.1:1');
  });

  test('a value that cannot be sent is our bug', () => {
    expect(toPgError(new TypeError('Do not know how to serialize a BigInt'), where)).toMatchObject({ kind: 'bug', retryable: false });
  });

  test('W8: what the record is to blame for is not retryable', () => {
    expect(toPgError(answer('ERROR', '23514'), where)).toMatchObject({ kind: 'data', retryable: false });
  });
});

describe('W5: a COMMIT that did not succeed', () => {
  test('is known to be rolled back only by an answer of severity ERROR', () => {
    expect(toCommitError(answer('ERROR', '40001'), where)).toMatchObject({ kind: 'infrastructure', retryable: true });
    expect(toCommitError(answer('ERROR', '23505'), where)).toMatchObject({ kind: 'data' });
  });

  test.each(['FATAL', 'PANIC', 'FEHLER'])('is unknown after %s', (severity) => {
    expect(toCommitError(answer(severity, '57P01'), where)).toMatchObject({ kind: 'unknown-commit', retryable: false, sqlState: '57P01' });
  });

  test('is unknown when the link is lost', () => {
    expect(toCommitError(new Error('Connection terminated unexpectedly'), where)).toMatchObject({ kind: 'unknown-commit', code: 'postgres_unknown_commit' });
  });
});
