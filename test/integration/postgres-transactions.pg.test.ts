/** Transactions of libs/postgres against a real server, and against one whose replies are late, lost or changed on the way. */
import { describe, expect, test } from '@jest/globals';
import { copyRow, type Tx } from '@millrace/postgres';
import { createLog } from '@millrace/runtime';
import { failure, ids, insert, observer, open, pidOf, postgres, proxyTo, usePostgres } from './observed-postgres.ts';

usePostgres();

async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 10));
}

const lives = async (pid: number): Promise<boolean> =>
  (await observer.query({ text: 'select 1 from pg_stat_activity where pid = $1', values: [pid] })).length > 0;

describe('a transaction', () => {
  test('stores all of it; statements started together are answered in order', async () => {
    const answers = await open().transaction((tx) =>
      Promise.all([tx.query(insert(1)), tx.query(insert(2)), tx.query<{ n: bigint }>({ text: 'select count(*) as n from entry' })]),
    );
    expect(answers[2]).toEqual([{ n: 2n }]);
    expect(await ids()).toEqual([1n, 2n]);
  });

  test('what the work throws is thrown, and nothing is stored', async () => {
    const refused = new Error('slot is not active here');
    const work = open().transaction(async (tx) => {
      await tx.query(insert(1));
      throw refused;
    });
    await expect(work).rejects.toBe(refused);
    expect(await ids()).toEqual([]);
  });

  test('the first failure of pipelined statements is the one that is told, even if nobody looked at it', async () => {
    const database = open({ poolMax: 1 });
    const work = database.transaction(async (tx) => {
      const [good, , late] = [tx.query(insert(1)), tx.query(insert(2, 'bad')), tx.query(insert(3))];
      await good;
      await late;
    });
    expect(await failure(work)).toMatchObject({ kind: 'data', sqlState: '23514', statement: 'entry_insert' });
    expect(await ids()).toEqual([]);
  });

  test('T1: a failure that the work swallowed, on the server or before it, is not committed', async () => {
    const database = open();
    for (const bad of [insert(2, 'bad'), { text: 'select $1::jsonb', values: [{ amount: 1n }] }]) {
      const work = database.transaction(async (tx) => {
        await tx.query(insert(1));
        await tx.query(bad).catch(() => undefined);
      });
      await failure(work);
      expect(await ids()).toEqual([]);
    }
  });

  test('T1: a statement or COPY that nobody awaited is part of it', async () => {
    await open().transaction(async (tx) => {
      void tx.query(insert(1));
      void tx.copyIn('copy entry (id, note) from stdin', [copyRow([2, 'kept'])]);
      void tx.query({ text: 'select 1' }).then(() => tx.query(insert(3)));
    });
    expect(await ids()).toEqual([1n, 2n, 3n]);
  });

  test.each([
    ['on the server', insert(2, 'bad'), { kind: 'data', sqlState: '23514' }],
    ['before it is sent', { text: 'select $1::jsonb', values: [{ amount: 1n }] }, { kind: 'bug' }],
  ])('T1: one that nobody awaited and that fails %s is told, and nothing is stored', async (_where, bad, told) => {
    const work = open().transaction(async (tx) => {
      await tx.query(insert(1));
      void tx.query(bad);
    });
    expect(await failure(work)).toMatchObject(told);
    expect(await ids()).toEqual([]);
  });

  test('T1: one that is ended from inside is a bug, and so is a statement after the end', async () => {
    const database = open();
    await expect(database.transaction((tx) => tx.query({ text: 'rollback' }))).rejects.toThrow('T1');
    let kept: Tx | undefined;
    await database.transaction(async (tx) => void (kept = tx));
    expect(() => kept!.query(insert(1))).toThrow('T1');
    expect(await ids()).toEqual([]);
  });

  test('T2: COMMIT on an aborted transaction, answered with the tag ROLLBACK, is caught', async () => {
    // The client is made blind to the error: the proxy shows it the answer to a harmless statement instead.
    const proxy = await proxyTo(postgres.port, { replies: hideErrors });
    const database = open({ url: proxy.url });
    const work = database.transaction((tx) => tx.query({ text: `insert into entry values (1, 'kept'); insert into entry values (2, 'bad')` }));
    const error = await failure(work);
    expect(error).toMatchObject({ kind: 'infrastructure', retryable: true });
    expect(error.message).toContain('ROLLBACK');
    expect(await ids()).toEqual([]);
  });

  test('W5: a COMMIT whose answer is lost is unknown, whether it was stored', async () => {
    const proxy = await proxyTo(postgres.port, {
      replies: (bytes) => (bytes.includes('COMMIT\0') ? 'cut' : bytes),
    });
    const error = await failure(open({ url: proxy.url }).transaction((tx) => tx.query(insert(1))));
    expect(error).toMatchObject({ kind: 'unknown-commit', retryable: false });
    expect(await ids()).toEqual([1n]);
  });

  test('W5: or not', async () => {
    const proxy = await proxyTo(postgres.port, {
      requests: (bytes) => (bytes.includes('commit\0') ? 'cut' : bytes),
    });
    const error = await failure(open({ url: proxy.url }).transaction((tx) => tx.query(insert(1))));
    expect(error).toMatchObject({ kind: 'unknown-commit', retryable: false });
    expect(await ids()).toEqual([]);
  });

  test('W5: a link that falls silent under COMMIT is given up as unknown', async () => {
    const proxy = await proxyTo(postgres.port, {
      replies: (bytes) => (bytes.includes('COMMIT\0') ? 'drop' : bytes),
    });
    const database = open({ url: proxy.url, statementTimeoutMs: 100 });
    expect(await failure(database.transaction((tx) => tx.query(insert(1))))).toMatchObject({ kind: 'unknown-commit' });
    expect(database.poolUse().total).toBe(0);
  });

  test('a constraint that is checked at COMMIT is data, not unknown', async () => {
    await observer.query({ text: 'create table late (id bigint unique deferrable initially deferred)' });
    const work = open().transaction((tx) => tx.query({ text: 'insert into late values (1), (1)' }));
    expect(await failure(work)).toMatchObject({ kind: 'data', sqlState: '23505', statement: 'commit' });
  });
});

describe('timeouts are the server\'s', () => {
  test('a statement that takes too long is cancelled there, and its connection is not used again', async () => {
    const database = open({ poolMax: 1, statementTimeoutMs: 200 });
    const before = await pidOf(database);
    expect(await failure(database.query({ text: 'select pg_sleep(60)' }))).toMatchObject({ kind: 'infrastructure', sqlState: '57014' });
    expect(await pidOf(database)).not.toBe(before);
    await until(async () => !(await lives(before)));
  });

  test('a lock that is not to be had is given up', async () => {
    const database = open({ lockTimeoutMs: 100 });
    const work = observer.transaction(async (tx) => {
      await tx.query({ text: 'lock table entry' });
      return failure(database.query(insert(1)));
    });
    expect(await work).toMatchObject({ kind: 'infrastructure', sqlState: '55P03' });
  });

  test('a session that idles inside its transaction loses it, and cannot commit', async () => {
    const database = open({ idleInTransactionTimeoutMs: 200 });
    const work = database.transaction(async (tx) => {
      const pid = await pidOf(tx);
      await tx.query(insert(1));
      await until(async () => !(await lives(pid)));
    });
    expect(await failure(work)).toMatchObject({ kind: 'infrastructure' });
    expect(await ids()).toEqual([]);
  });

  test('a transaction may be given longer, and the connection forgets it', async () => {
    const database = open({ poolMax: 1, statementTimeoutMs: 100 });
    await database.transaction((tx) => tx.query({ text: 'select pg_sleep(0.3)' }), { statementTimeoutMs: 60_000 });
    expect(await failure(database.query({ text: 'select pg_sleep(60)' }))).toMatchObject({ sqlState: '57014' });
  });

  test('a pool that is used up, and a server that is not there, are infrastructure', async () => {
    const database = open({ poolMax: 1, connectTimeoutMs: 200 });
    const used = await database.transaction(() => failure(database.query({ text: 'select 1' })));
    expect(used).toMatchObject({ kind: 'infrastructure', retryable: true });
    const nobody = open({ url: 'postgres://app:geheim@127.0.0.1:1/a', connectTimeoutMs: 500 });
    const refused = await failure(nobody.query({ text: 'select 1' }));
    expect(refused.kind).toBe('infrastructure');
    expect(refused.message).toContain('ECONNREFUSED');
    expect(refused.message).not.toContain('geheim');
  });
});

describe('a connection that drops', () => {
  const terminate = (pid: number): Promise<unknown> => observer.query({ text: 'select pg_terminate_backend($1, 5000)', values: [pid] });

  test('while idle does not end the process; the next use gets a new one', async () => {
    const warned: string[] = [];
    const log = createLog({ name: 'test', level: 'warn', destination: { write: (line) => void warned.push(line) } });
    const database = open({ poolMax: 1, log });
    const pid = await pidOf(database);
    await terminate(pid);
    await until(() => database.poolUse().total === 0);
    expect(await pidOf(database)).not.toBe(pid);
    expect(warned).toHaveLength(1);
  });

  test('while lent out and busy, or lent out and quiet, does not end the process', async () => {
    const database = open({ poolMax: 1 });
    const busy = database.transaction(async (tx) => {
      const pid = await pidOf(tx);
      const sleeping = tx.query({ text: 'select pg_sleep(60)' });
      await Promise.all([sleeping, terminate(pid)]);
    });
    expect(await failure(busy)).toMatchObject({ kind: 'infrastructure' });
    const quiet = database.transaction(async (tx) => {
      await terminate(await pidOf(tx));
      await until(async () => (await tx.query({ text: 'select 1' }).catch(() => 'gone')) === 'gone');
    });
    expect(await failure(quiet)).toMatchObject({ kind: 'infrastructure' });
    expect(await pidOf(database)).toBeGreaterThan(0);
  });
});

/** An ErrorResponse becomes a CommandComplete; ReadyForQuery claims a healthy transaction. */
function hideErrors(bytes: Buffer): Buffer {
  const parts: Buffer[] = [];
  // Only whole messages, as this server sends them for these short answers.
  for (let at = 0; at < bytes.length; at += 1 + bytes.readInt32BE(at + 1)) {
    const type = String.fromCharCode(bytes[at]!);
    const message = bytes.subarray(at, at + 1 + bytes.readInt32BE(at + 1));
    if (type === 'E') parts.push(Buffer.from('C\0\0\0\x0dSELECT 0\0', 'latin1'));
    else if (type === 'Z' && message[5] === 0x45) parts.push(Buffer.from('Z\0\0\0\x05T', 'latin1'));
    else parts.push(message);
  }
  return Buffer.concat(parts);
}
