/** libs/postgres against a real server, and against one whose replies are lost or changed on the way. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { startPostgres } from '@millrace/local-cluster';
import type { Postgres } from '@millrace/local-cluster';
import { copyRow, createDatabase, migrate, MigrationChanged, PgError } from '@millrace/postgres';
import type { Database, DatabaseOptions, Tx } from '@millrace/postgres';
import { createLog, createRegistry } from '@millrace/runtime';

const silent = createLog({ name: 'test', level: 'silent' });
let dir: string;
let postgres: Postgres;
/** Looks on from outside. */
let observer: Database;
const opened: Database[] = [];
const proxies: Proxy[] = [];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'millrace-pg-'));
  postgres = await startPostgres({ dir, durable: false });
  observer = createDatabase({ ...defaults(), name: 'observer', applicationName: 'observer' });
});
afterAll(async () => {
  await observer?.end();
  await postgres?.stop();
  await rm(dir, { recursive: true, force: true });
});
beforeEach(async () => {
  await observer.query({ text: 'drop schema public cascade; create schema public' });
  await observer.query({ text: 'create table entry (id bigint primary key, note text check (note <> \'bad\'))' });
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((database) => database.end()));
  for (const proxy of proxies.splice(0)) proxy.close();
});

function defaults(): DatabaseOptions {
  return {
    name: 'shard a',
    url: postgres.url,
    applicationName: 'writer',
    poolMax: 4,
    statementTimeoutMs: 10_000,
    idleInTransactionTimeoutMs: 10_000,
    connectTimeoutMs: 5_000,
    log: silent,
  };
}

function open(options: Partial<DatabaseOptions> = {}): Database {
  const database = createDatabase({ ...defaults(), ...options });
  opened.push(database);
  return database;
}

async function failure(work: Promise<unknown>): Promise<PgError> {
  const error: unknown = await work.then(
    () => new Error('nothing failed'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof PgError)) throw error;
  return error;
}

async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 10));
}

const insert = (id: number, note = 'kept') => ({ name: 'entry_insert', text: 'insert into entry (id, note) values ($1, $2)', values: [id, note] });
const ids = async (): Promise<bigint[]> =>
  (await observer.query<{ id: bigint }>({ text: 'select id from entry order by id' })).map((row) => row.id);
const pidOf = async (on: Pick<Tx, 'query'>): Promise<number> =>
  (await on.query<{ pid: number }>({ text: 'select pg_backend_pid() as pid' }))[0]!.pid;
const lives = async (pid: number): Promise<boolean> =>
  (await observer.query({ text: 'select 1 from pg_stat_activity where pid = $1', values: [pid] })).length > 0;

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

/** What becomes of bytes on their way: changed, `drop`ped for good from here on, or the link `cut`. */
type Tamper = (bytes: Buffer) => Buffer | 'drop' | 'cut';

interface Proxy {
  readonly url: string;
  close(): void;
}

async function proxyTo(port: number, tampers: { replies?: Tamper; requests?: Tamper }): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    const cut = (): void => void [client, upstream].forEach((socket) => socket.destroy());
    for (const socket of [client, upstream]) socket.on('error', cut).on('close', cut);
    sockets.add(client).add(upstream);
    forward(client, upstream, tampers.requests, cut);
    forward(upstream, client, tampers.replies, cut);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = new URL(postgres.url);
  url.port = String((server.address() as AddressInfo).port);
  const proxy = {
    url: url.href,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
  proxies.push(proxy);
  return proxy;
}

function forward(from: Socket, to: Socket, tamper: Tamper = (bytes) => bytes, cut: () => void): void {
  let dropping = false;
  from.on('data', (bytes) => {
    const result = dropping ? 'drop' : tamper(bytes);
    if (result === 'cut') return cut();
    if (result === 'drop') dropping = true;
    else to.write(result);
  });
}

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
