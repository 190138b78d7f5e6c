/** Shards that join and leave a running local cluster: real servers and services, through the local API. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startLocalCluster, type LocalCluster } from '@millrace/local-cluster';
import { createDatabase, type Database } from '@millrace/postgres';
import { createLog } from '@millrace/runtime';
import { until } from '@millrace/testkit';
import { must } from '@millrace/write';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const log = createLog({ name: 'test', level: 'silent' });
const POOL = { applicationName: 'test', poolMax: 1, statementTimeoutMs: 10_000, idleInTransactionTimeoutMs: 10_000, connectTimeoutMs: 5_000, log } as const;
const KEPT = { text: `select count(*)::int as kept from pg_roles where rolname = 'kept'` };
let dir: string;
let cluster: LocalCluster;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-shards-'));
  cluster = await startLocalCluster({ dir, shards: 2, slots: 8, durable: false });
}, 300_000);
afterAll(async () => {
  await cluster?.stop();
  rmSync(dir, { recursive: true, force: true });
});

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

async function ask(method: string, path: string, body?: unknown): Promise<Answer> {
  const { local, adminToken } = cluster.file;
  const headers = { authorization: `Bearer ${adminToken}` };
  const response = await fetch(`${local}${path}`, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const kept = (name: string): Record<string, unknown> => JSON.parse(readFileSync(join(dir, name), 'utf8')) as Record<string, unknown>;
const idsIn = (role: string): string => Object.keys(kept(`config/shards-${role}.json`)).join('');
const idsOf = (): string => cluster.file.shards.map(({ id }) => id).join('');
const dataOf = (id: string): string => join(dir, 'postgres', `shard-${id}`, 'data');

async function onShard<T>(id: string, work: (database: Database) => Promise<T>): Promise<T> {
  const { url } = must(cluster.file.shards.find((shard) => shard.id === id), `shard ${id} runs`);
  const database = createDatabase({ ...POOL, name: id, url });
  try {
    return await work(database);
  } finally {
    await database.end();
  }
}

test('a shard joins: its Postgres answers to each role, and every file names it', async () => {
  expect(await ask('POST', '/shards', { id: 'c' })).toEqual({ status: 201, body: { id: 'c', started: true } });
  expect([idsOf(), idsIn('owner'), idsIn('writer'), idsIn('reader')]).toEqual(['abc', 'abc', 'abc', 'abc']);
  expect(kept('layout.json')['shards']).toEqual(['a', 'b', 'c']);
  expect(kept('cluster.json')).toEqual(JSON.parse(JSON.stringify(cluster.file)));
  expect(cluster.file.processes.map(({ name }) => name)).toContain('shard-c');
  for (const role of ['owner', 'writer', 'reader']) {
    const database = createDatabase({ ...POOL, name: role, url: String(kept(`config/shards-${role}.json`)['c']) });
    expect(await database.query({ text: 'select 1 as one' })).toEqual([{ one: 1 }]);
    await database.end();
  }
  expect(await ask('POST', '/shards', { id: 'c' })).toEqual({ status: 200, body: { id: 'c', started: false } });
});

test('a shard that joined is started again when it is killed', async () => {
  const shard = cluster.process('shard-c');
  const { pid } = shard;
  await shard.kill('SIGKILL');
  await until('shard c answers again', () => onShard('c', (database) => database.query({ text: 'select 1' })).catch(() => undefined));
  expect(shard.pid).not.toBe(pid);
});

test('a member is not removed, nor one that is not there', async () => {
  expect(await ask('DELETE', '/shards/a')).toMatchObject({ status: 409, body: { code: 'shard_is_member' } });
  expect(await ask('DELETE', '/shards/x')).toMatchObject({ status: 404, body: { code: 'unknown_local_shard' } });
  expect(idsOf()).toBe('abc');
});

test('a cluster that is started again brings up the shards that have joined', async () => {
  await onShard('c', (database) => database.query({ text: 'create role kept' }));
  const { url } = must(cluster.file.shards[2], 'shard c runs');
  await cluster.stop();
  expect(existsSync(join(dir, 'cluster.json'))).toBe(false);
  await expect(startLocalCluster({ dir, shards: 2, durable: false })).rejects.toThrow(/has 3 shards \(a, b, c\), not 2/);
  cluster = await startLocalCluster({ dir, durable: false });
  expect([idsOf(), cluster.file.shards[2]?.url]).toEqual(['abc', url]);
  expect(await onShard('c', (database) => database.query(KEPT))).toEqual([{ kept: 1 }]);
}, 300_000);

test('a shard that holds slots as their owner stays, whatever the control database says', async () => {
  // Of a schema that is found before the one of the ring-manager's migrations.
  await onShard('c', (database) => database.query({ text: 'create schema postgres' }));
  await onShard('c', (database) => database.query({ text: `create table postgres.slot as select 3 as slot, 'ACTIVE' as state` }));
  expect(await ask('DELETE', '/shards/c')).toMatchObject({ status: 409, body: { code: 'shard_holds_slots', detail: expect.stringContaining('3') } });
  expect(idsOf()).toBe('abc');
  await onShard('c', (database) => database.query({ text: 'drop schema postgres cascade' }));
});

test('a shard leaves: no file names it, its Postgres has stopped, its data is gone', async () => {
  const { pid } = cluster.process('shard-c');
  expect(await ask('DELETE', '/shards/c')).toEqual({ status: 200, body: { id: 'c', data: 'deleted' } });
  expect([idsOf(), idsIn('owner'), idsIn('writer'), idsIn('reader')]).toEqual(['ab', 'ab', 'ab', 'ab']);
  expect(kept('layout.json')['shards']).toEqual(['a', 'b']);
  expect(existsSync(`/proc/${pid}`)).toBe(false);
  expect(existsSync(dataOf('c'))).toBe(false);
  expect(cluster.file.processes.map(({ name }) => name)).not.toContain('shard-c');
});

test('a shard of the same name joins later at the same address, with no rows', async () => {
  const port = (kept('layout.json')['ports'] as Record<string, number>)['shard-c'];
  expect((await ask('POST', '/shards', { id: 'c' })).status).toBe(201);
  const { url } = must(cluster.file.shards[2], 'shard c runs');
  expect(Number(new URL(url).port)).toBe(port);
  expect(await onShard('c', (database) => database.query(KEPT))).toEqual([{ kept: 0 }]);
});
