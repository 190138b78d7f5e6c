/** libs/postgres against a real server: values, COPY, migrations and metrics. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { copyRow, migrate, MigrationChanged } from '@millrace/postgres';
import { createRegistry } from '@millrace/runtime';
import { failure, ids, insert, observer, open, pidOf, postgres, proxyTo, silent, usePostgres } from './observed-postgres.ts';

usePostgres();

describe('values', () => {
  test('int8 travels as bigint both ways, single and in arrays', async () => {
    const big = [-(2n ** 63n), -1n, 0n, 2n ** 53n + 1n, 2n ** 63n - 1n];
    const [row] = await open().query<Record<string, unknown>>({
      text: `select $1::bigint as one, array(select x from unnest($2::bigint[]) x) as many, null::bigint as none,
                    $3::uuid as id, $4::jsonb as detail, array[]::bigint[] as empty, $5::bigint[] as holes, count(*) as n from (select 1) t`,
      values: [big[4], big, '6f9619ff-8b86-d011-b42d-00c04fc964ff', '{"first":"7"}', [1n, null]],
    });
    expect(row).toEqual({
      one: big[4],
      many: big,
      none: null,
      id: '6f9619ff-8b86-d011-b42d-00c04fc964ff',
      detail: { first: '7' },
      empty: [],
      holes: [1n, null],
      n: 1n,
    });
  });

  test('texts in arrays come back as they went, quotes, backslashes, NULL and null included', async () => {
    const texts = ['a"b', 'c\\d', 'NULL', '', '{x,y}', ' żółć 💶\t\n', null];
    const rows = await open().query<{ t: string }>({ text: 'select t from unnest($1::text[]) with ordinality as u (t, i) order by i', values: [texts] });
    expect(rows.map((row) => row.t)).toEqual(texts);
  });

  test('a value that cannot be sent, and one statement name for two texts, are bugs', async () => {
    const database = open({ poolMax: 1 });
    expect(await failure(database.query({ text: 'select $1::jsonb', values: [{ amount: 1n }] }))).toMatchObject({ kind: 'bug' });
    const twoTexts = database.transaction(async (tx) => {
      await tx.query({ name: 'one', text: 'select 1' });
      await tx.query({ name: 'one', text: 'select 2' });
    });
    expect(await failure(twoTexts)).toMatchObject({ kind: 'bug' });
  });
});

describe('COPY', () => {
  const copyEntries = 'copy entry (id, note) from stdin';

  test('carries every text through unchanged', async () => {
    const nasty = ['\\', '\\N', '\\.', '\t', '\n', '\r', '\r\n', '\\t', '', '"', "'", 'żółć 💶 \u{10FFFF}', '\b\f\v\u0001\u007f', 'a\\\nb'];
    const texts = fc.array(fc.oneof(fc.constantFrom(...nasty), fc.string({ unit: 'binary' }), fc.constant(null)), { maxLength: 50 });
    const database = open();
    await fc.assert(
      fc.asyncProperty(texts, async (notes) => {
        const wanted = notes.map((note) => (note === null ? null : note.replaceAll('\0', '')));
        await database.query({ text: 'truncate entry' });
        await database.transaction((tx) => tx.copyIn(copyEntries, wanted.map((note, id) => copyRow([id, note]))));
        const rows = await database.query<{ note: string }>({ text: 'select note from entry order by id' });
        expect(rows.map((row) => row.note)).toEqual(wanted);
      }),
      { numRuns: 60 },
    );
  });

  test('takes its place among pipelined statements, also with megabytes', async () => {
    const long = 'x\ty'.repeat(1_000);
    const lines = function* (): Generator<string | Buffer> {
      for (let id = 1; id <= 3_000; id += 1) yield id % 100 === 0 ? Buffer.from(copyRow([id, long])) : copyRow([id, long]);
    };
    const answers = await open().transaction((tx) =>
      Promise.all([
        tx.query(insert(0)),
        tx.query({ text: 'select 1' }),
        tx.copyIn(copyEntries, lines()),
        tx.copyIn(copyEntries, [copyRow([3_001, 'second'])]),
        tx.query(insert(4_000)),
      ]),
    );
    expect(answers).toHaveLength(5);
    const [row] = await observer.query({ text: 'select count(*) as n, sum(length(note)) as length from entry' });
    expect(row).toMatchObject({ n: 3_003n });
  });

  test('of no rows is no row', async () => {
    await open().transaction((tx) => tx.copyIn(copyEntries, []));
    expect(await ids()).toEqual([]);
  });

  test.each([
    ['a broken row', ['1\ta\n', 'not a number\tb\n'], 'data', '22P02'],
    ['a row that a constraint refuses', ['1\ta\n', '2\tbad\n'], 'data', '23514'],
    ['a table that is missing', ['1\n'], 'infrastructure', '42P01'],
  ])('%s fails the whole transaction, and the pool goes on', async (_what, lines, kind, sqlState) => {
    const database = open({ poolMax: 1 });
    const sql = sqlState === '42P01' ? 'copy nowhere (id) from stdin' : copyEntries;
    expect(await failure(database.transaction((tx) => tx.copyIn(sql, lines)))).toMatchObject({ kind, sqlState });
    expect(await ids()).toEqual([]);
    expect(await pidOf(database)).toBeGreaterThan(0);
  });

  test('whose source throws stores nothing', async () => {
    const source = function* (): Generator<string> {
      yield copyRow([1, 'kept']);
      throw new Error('no more');
    };
    const database = open({ poolMax: 1 });
    await expect(database.transaction((tx) => tx.copyIn(copyEntries, source()))).rejects.toThrow('no more');
    expect(await ids()).toEqual([]);
    expect(await pidOf(database)).toBeGreaterThan(0);
  });

  test('whose connection drops in the middle is infrastructure', async () => {
    const database = open({ poolMax: 1 });
    const proxy = await proxyTo(postgres.port, { requests: (bytes) => (bytes.includes('cut here') ? 'cut' : bytes) });
    const severed = open({ poolMax: 1, url: proxy.url });
    const lines = [...Array.from({ length: 2_000 }, (_, id) => copyRow([id, 'x'.repeat(100)])), copyRow([9_999, 'cut here'])];
    expect(await failure(severed.transaction((tx) => tx.copyIn(copyEntries, lines)))).toMatchObject({ kind: 'infrastructure' });
    expect(await ids()).toEqual([]);
    expect(await pidOf(database)).toBeGreaterThan(0);
  });
});

describe('migrations', () => {
  const first = { id: '001', sql: `create type mood as enum ('ok'); create table a (id bigint primary key, mood mood)` };
  const second = { id: '002', sql: 'alter table a add column note text' };
  const migrated = (migrations: readonly { id: string; sql: string }[]) => migrate({ database: open(), migrations, log: silent });
  const applied = async (): Promise<string[]> =>
    (await observer.query<{ id: string }>({ text: 'select id from migration order by applied_at, id' })).map((row) => row.id);

  test('are applied once, in order, and only forward', async () => {
    await migrated([first]);
    await migrated([first, second]);
    await migrated([first, second]);
    expect(await applied()).toEqual(['001', '002']);
    await observer.query({ text: `insert into a values (1, 'ok', 'note')` });
  });

  test('of eight processes that start at once are applied once', async () => {
    await Promise.all(Array.from({ length: 8 }, () => migrated([first, second])));
    expect(await applied()).toEqual(['001', '002']);
  });

  test('that were changed after they were applied are refused, saying what to do', async () => {
    await migrated([first, second]);
    const changed = migrated([{ ...first, sql: `${first.sql}; drop table a` }, second]);
    await expect(changed).rejects.toThrow(MigrationChanged);
    await expect(changed).rejects.toThrow(/migration 001 .* shard a .* new migration/);
  });

  test('that fail leave nothing behind', async () => {
    const failing = migrated([first, { id: '002', sql: 'alter table nowhere add column note text' }]);
    expect(await failure(failing)).toMatchObject({ sqlState: '42P01' });
    await expect(applied()).rejects.toThrow('migration');
    await migrated([first, second]);
    expect(await applied()).toEqual(['001', '002']);
  });

  test('of a newer program do not keep an older one from starting', async () => {
    await migrated([first, second]);
    await migrated([first]);
    expect(await applied()).toEqual(['001', '002']);
  });

  test('with the same id twice are a bug', async () => {
    await expect(migrated([first, first])).rejects.toThrow('unique');
  });
});

test('metrics tell the use of each pool and the errors by kind', async () => {
  const registry = createRegistry();
  const database = open({ registry, poolMax: 2 });
  open({ registry, name: 'shard b' });
  await failure(database.query(insert(1, 'bad')));
  await database.transaction(async () => {
    const text = await registry.metrics();
    expect(text).toContain('millrace_postgres_connections{database="shard a",state="used"} 1');
    expect(text).toContain('millrace_postgres_connections{database="shard b",state="used"} 0');
    expect(text).toContain('millrace_postgres_errors_total{database="shard a",kind="data"} 1');
  });
  await database.end();
  await database.end();
  expect(await registry.metrics()).not.toContain('millrace_postgres_connections{database="shard a"');
});
