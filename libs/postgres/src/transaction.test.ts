import { describe, expect, test } from '@jest/globals';
import type { QueryResult } from 'pg';
import type { Session } from './session.ts';
import { inTransaction, type Tx } from './transaction.ts';

/** A connection that lives and refuses to begin; what it is sent. */
function refusing() {
  const sent: string[] = [];
  const session: Partial<Session> = {
    async run({ text }) {
      sent.push(text);
      await Promise.resolve();
      if (text.startsWith('begin')) throw new Error('no transaction now');
      return { command: 'SELECT', rows: [] } as Partial<QueryResult> as QueryResult;
    },
    async copyIn(sql) {
      sent.push(sql);
      return 1;
    },
    async *copyOut(sql) {
      sent.push(sql);
      yield Buffer.from('x');
    },
  };
  return { sent, run: <T>(work: (tx: Tx) => Promise<T>) => inTransaction(session as Session, 'test', work) };
}

const LOCK = { text: 'select 1 for update' };
const WRITE = { text: 'insert into t values (1)' };

describe('T4 behind a BEGIN that failed', () => {
  const all = async (rows: AsyncIterable<Buffer>): Promise<void> => {
    for await (const _ of rows) continue;
  };
  test.each<[string, (tx: Tx) => Promise<unknown>]>([
    ['a statement of the second round', (tx) => tx.query(LOCK).then(() => tx.query(WRITE))],
    ['a first statement that writes', (tx) => tx.query(WRITE)],
    ['a write started beside the lock', (tx) => Promise.all([tx.query(LOCK), tx.query(WRITE)])],
    ['a COPY into a table', (tx) => tx.query(LOCK).then(() => tx.copyIn('copy t from stdin', []))],
    ['a first COPY into a table', (tx) => tx.copyIn('copy t from stdin', [])],
    ['a COPY out of one', (tx) => all(tx.copyOut('copy t to stdout'))],
  ])('%s is not sent', async (_, work) => {
    const { sent, run } = refusing();
    await expect(run(work)).rejects.toMatchObject({ message: expect.stringContaining('no transaction now') });
    expect(sent.slice(1).filter((text) => text !== LOCK.text)).toEqual([]);
  });

  test('a statement that is looked away from ends nothing', async () => {
    const { run } = refusing();
    await expect(run(async (tx) => void tx.query(WRITE))).rejects.toThrow('no transaction now');
  });
});
