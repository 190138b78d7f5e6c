/** COPY in both directions through libs/postgres, against a real server, and transactions in other modes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { startPostgres, type Postgres } from '@millrace/local-cluster';
import { copyRow, createDatabase, sqlLiteral, sqlName, type Database } from '@millrace/postgres';
import { createLog } from '@millrace/runtime';
import { until } from '@millrace/testkit';

const dir = mkdtempSync(join(tmpdir(), 'millrace-copy-'));
const log = createLog({ name: 'test', level: 'silent' });
let server: Postgres;
let database: Database;
let other: Database;
beforeAll(async () => {
  server = await startPostgres({ dir, durable: false });
  [database, other] = ['here', 'there'].map((name) =>
    createDatabase({ name, url: server.url, applicationName: name, poolMax: 2, statementTimeoutMs: 30_000, idleInTransactionTimeoutMs: 30_000, connectTimeoutMs: 5_000, log }),
  ) as [Database, Database];
});
afterAll(async () => {
  await database?.end();
  await other?.end();
  await server?.stop();
  rmSync(dir, { recursive: true, force: true });
});
beforeEach(async () => {
  await database.query({ text: 'drop table if exists source, target' });
  await database.query({ text: 'create table source (id bigint primary key, note text)' });
  await database.query({ text: 'create table target (id bigint primary key, note text)' });
});

const fill = (rows: number) => database.query({ text: `insert into source select g, repeat(g::text, 20) || chr(9) || '\\' || chr(10) || 'é' from generate_series(1, $1::int) g`, values: [rows] });
const OUT = 'copy (select id, note from source order by id) to stdout';
const IN = 'copy target (id, note) from stdin';
const countOf = async (table: string): Promise<number> => Number((await database.query<{ n: bigint }>({ text: `select count(*) as n from ${table}` }))[0]!.n);

async function failure(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => new Error('nothing failed'),
    (error: unknown) => error,
  );
}

describe('COPY', () => {
  test('pipes rows from one database to another, whatever they hold and wherever the stream is cut', async () => {
    await fill(20_000);
    const rows = await other.transaction((to) => database.transaction((from) => to.copyIn(IN, from.copyOut(OUT))));
    expect(rows).toBe(20_000);
    expect(await database.query({ text: 'select count(*) as n from source s join target t using (id, note)' })).toEqual([{ n: 20_000n }]);
  });

  test('of nothing is nothing', async () => {
    expect(await other.transaction((to) => database.transaction((from) => to.copyIn(IN, from.copyOut(OUT))))).toBe(0);
  });

  test('leaves the transaction as it was: statements before and after it take their turn', async () => {
    await fill(100);
    const seen = await database.transaction(async (tx) => {
      const before = tx.query<{ n: number }>({ text: 'select 1 as n' });
      let bytes = 0;
      for await (const chunk of tx.copyOut(OUT)) bytes += chunk.length;
      const after = await tx.query<{ n: number }>({ text: 'select 2 as n' });
      await tx.copyIn(IN, [copyRow([1, 'a'])]);
      const many = await Promise.all([3, 4].map((n) => tx.query<{ n: number }>({ text: `select ${n} as n` })));
      return [(await before)[0]!.n, bytes > 0, after[0]!.n, ...many.map((rows) => rows[0]!.n)];
    });
    expect(seen).toEqual([1, true, 2, 3, 4]);
    expect(await countOf('target')).toBe(1);
  });

  test('out goes no faster than it is read: the server waits for its reader', async () => {
    const reading = database.transaction(async (tx) => {
      const rows = tx.copyOut(`copy (select repeat('x', 1000) from generate_series(1, 100000)) to stdout`)[Symbol.asyncIterator]();
      await rows.next();
      await until('the server waits for the reader', async () => (await other.query({ text: `select 1 from pg_stat_activity where application_name = 'here' and wait_event = 'ClientWrite'` })).length > 0);
      let bytes = 0;
      for (let next = await rows.next(); next.done !== true; next = await rows.next()) bytes += next.value.length;
      return bytes;
    });
    expect(await reading).toBeGreaterThan(99_000_000);
  });

  test('in takes no more pieces than the server does', async () => {
    let taken = 0;
    async function* endless(): AsyncGenerator<Buffer> {
      for (let id = 0; id < 2_000; id++) {
        taken += 1;
        yield Buffer.from(copyRow([id, 'x'.repeat(64 * 1024)]));
      }
    }
    const held = Promise.withResolvers<void>();
    const locked = Promise.withResolvers<void>();
    const holder = other.transaction(async (tx) => {
      await tx.query({ text: 'lock table target in access exclusive mode' });
      held.resolve();
      await locked.promise;
    });
    // Otherwise the COPY may have the table first.
    await held.promise;
    const copying = database.transaction((tx) => tx.copyIn(IN, endless()));
    await until('the COPY waits for the lock', async () => (await other.query({ text: `select 1 from pg_stat_activity where application_name = 'here' and wait_event_type = 'Lock'` })).length > 0);
    expect(taken).toBeLessThan(100);
    locked.resolve();
    await holder;
    expect(await copying).toBe(2_000);
  });

  test('out that is left before its end costs the transaction and its connection', async () => {
    await fill(50_000);
    const left = database.transaction(async (tx) => {
      for await (const _ of tx.copyOut(OUT)) break;
    });
    expect(await failure(left)).toMatchObject({ name: 'PgError', kind: 'infrastructure' });
    expect(database.poolUse()).toMatchObject({ waiting: 0 });
    expect(await countOf('source')).toBe(50_000);
  });

  test('out that fails on the way fails the transaction with the cause', async () => {
    const failing = database.transaction(async (tx) => {
      for await (const _ of tx.copyOut('copy (select 1 / (5000 - g) from generate_series(1, 10000) g) to stdout')) continue;
    });
    expect(await failure(failing)).toMatchObject({ name: 'PgError', kind: 'data', sqlState: '22012', database: 'here' });
    expect(await countOf('source')).toBe(0);
  });

  test('in names the database at fault where its pieces come from another', async () => {
    const failing = other.transaction((to) => database.transaction((from) => to.copyIn(IN, from.copyOut(`copy (select g, (1 / (5000 - g))::text from generate_series(1, 10000) g) to stdout`))));
    expect(await failure(failing)).toMatchObject({ name: 'PgError', database: 'here', sqlState: '22012' });
    await fill(10);
    await database.query({ text: `alter table target add check (id <> 7)` });
    const refused = other.transaction((to) => database.transaction((from) => to.copyIn(IN, from.copyOut(OUT))));
    expect(await failure(refused)).toMatchObject({ name: 'PgError', database: 'there', kind: 'data', sqlState: '23514' });
    expect(await countOf('target')).toBe(0);
  });

  test('in stores nothing where its pieces throw, and throws what they threw', async () => {
    const stop = new Error('stop');
    async function* some(): AsyncGenerator<string> {
      yield copyRow([1, 'a']);
      throw stop;
    }
    expect(await failure(database.transaction((tx) => tx.copyIn(IN, some())))).toBe(stop);
    expect(await countOf('target')).toBe(0);
  });
});

describe('a transaction', () => {
  test('that asks for one state of the database sees it to its end', async () => {
    await fill(1);
    const seen = await database.transaction(
      async (tx) => {
        const count = async (): Promise<bigint> => (await tx.query<{ n: bigint }>({ text: 'select count(*) as n from source' }))[0]!.n;
        const before = await count();
        await other.query({ text: `insert into source values (2, 'b')` });
        return [before, await count()];
      },
      { isolation: 'repeatable read', readOnly: true },
    );
    expect(seen).toEqual([1n, 1n]);
  });

  test('that only reads writes nothing', async () => {
    const writing = database.transaction((tx) => tx.query({ text: `insert into source values (1, 'a')` }), { readOnly: true });
    expect(await failure(writing)).toMatchObject({ sqlState: '25006' });
  });

  test('has its own settings and limits, which end with it', async () => {
    const shown = (on: Pick<Database, 'query'>) => on.query({ text: `select current_setting('enable_seqscan') as seqscan, current_setting('lock_timeout') as lock, current_setting('statement_timeout') as statement` });
    const inside = await database.transaction((tx) => shown(tx), { settings: { enable_seqscan: 'off' }, lockTimeoutMs: 123, statementTimeoutMs: 4_567 });
    expect(inside).toEqual([{ seqscan: 'off', lock: '123ms', statement: '4567ms' }]);
    expect(await shown(database)).toEqual([{ seqscan: 'on', lock: '0', statement: '30s' }]);
  });
});

test('literals and names are quoted so that they say what they are', async () => {
  for (const text of ["it's", 'back\\slash', 'a\nb', '"', '']) expect(await database.query({ text: `select ${sqlLiteral(text)} as ${sqlName('a "b"')}` })).toEqual([{ 'a "b"': text }]);
});
