/** The embedded servers: real Kafka and real Postgres as child processes. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startBroker, startPostgres, type Broker, type Postgres } from '@millrace/local-cluster';
import { createKafka, ensureTopics, topicOffsets, waitForKafka } from '@millrace/kafka';
import { createDatabase, PgError, type Database } from '@millrace/postgres';
import { createLog } from '@millrace/runtime';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const log = createLog({ name: 'test', level: 'silent' });
let dir: string;

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-servers-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('a Postgres', () => {
  let postgres: Postgres;
  const databases: Database[] = [];

  beforeAll(async () => {
    postgres = await startPostgres({ dir: join(dir, 'postgres') });
  });
  afterAll(async () => {
    await Promise.all(databases.map((database) => database.end()));
    await postgres.stop();
  });

  const open = (url: string): Database => {
    const database = createDatabase({
      name: 'test',
      url,
      applicationName: 'test',
      poolMax: 2,
      statementTimeoutMs: 10_000,
      idleInTransactionTimeoutMs: 10_000,
      connectTimeoutMs: 5_000,
      log,
    });
    databases.push(database);
    return database;
  };

  test('keeps what was committed when it is killed with SIGKILL and started again on the same port', async () => {
    const { url, port, pid } = postgres;
    await open(url).query({ text: 'create table kept (n int)' });
    await open(url).query({ text: 'insert into kept values (1)' });
    await postgres.kill('SIGKILL');
    expect(postgres.pid).toBeUndefined();
    await postgres.start();
    expect(postgres.port).toBe(port);
    expect(postgres.pid).not.toBe(pid);
    expect(await open(url).query({ text: 'select n from kept' })).toEqual([{ n: 1 }]);
  });

  test('commits durably', async () => {
    const settings = await open(postgres.url).query({ text: `select name, setting from pg_settings where name in ('fsync', 'synchronous_commit', 'full_page_writes')` });
    expect(settings.map((row) => (row as { setting: string }).setting)).toEqual(['on', 'on', 'on']);
  });

  test('has a writer and a reader, who may do what they are granted and nothing else', async () => {
    await open(postgres.url).query({ text: 'create table granted (n int)' });
    await open(postgres.url).query({ text: 'grant select, insert on granted to millrace_writer' });
    await open(postgres.url).query({ text: 'grant select on granted to millrace_reader' });
    await open(postgres.writerUrl).query({ text: 'insert into granted values (7)' });
    expect(await open(postgres.readerUrl).query({ text: 'select n from granted' })).toEqual([{ n: 7 }]);
    for (const [url, text] of [
      [postgres.readerUrl, 'insert into granted values (8)'],
      [postgres.writerUrl, 'delete from granted'],
      [postgres.writerUrl, 'create table other (n int)'],
    ] as const) {
      await expect(open(url).query({ text })).rejects.toThrow(PgError);
    }
  });

  test('lets nobody in without the password', async () => {
    const wrong = new URL(postgres.url);
    wrong.password = 'guess';
    await expect(open(wrong.href).query({ text: 'select 1' })).rejects.toThrow(/password/);
  });
});

describe('a broker', () => {
  let broker: Broker;

  beforeAll(async () => {
    broker = await startBroker({ dir: join(dir, 'kafka') });
  });
  afterAll(() => broker.stop());

  test('keeps its topics when it is killed with SIGKILL and started again on the same port', async () => {
    const kafka = createKafka({ brokers: [broker.address], clientId: 'test', log });
    await waitForKafka({ kafka, signal: AbortSignal.timeout(60_000), log });
    await ensureTopics({ kafka, topics: [{ name: 'kept', partitions: 3, replicationFactor: 1, config: {} }], timeoutMs: 30_000, log });
    await broker.kill('SIGKILL');
    await broker.start();
    await waitForKafka({ kafka, signal: AbortSignal.timeout(60_000), log });
    expect(await topicOffsets({ kafka, topic: 'kept' })).toHaveLength(3);
  });
});

test('a server does not outlive the process that started it, though that is killed with SIGKILL', async () => {
  const library = resolve(import.meta.dirname, '../../libs/local-cluster/src/index.ts');
  const home = join(dir, 'orphan');
  const script = `
    const { startPostgres } = await import(${JSON.stringify(library)});
    const { pid } = await startPostgres({ dir: ${JSON.stringify(home)}, durable: false });
    process.stdout.write(String(pid) + '\\n');
    setInterval(() => {}, 1000);`;
  const owner = spawn(process.execPath, ['--conditions=@millrace/source', '--input-type=module', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_OPTIONS: '' },
  });
  const printed = new Promise<string>((done) => owner.stdout.setEncoding('utf8').once('data', done));
  const pid = Number(await printed);
  expect(existsSync(`/proc/${pid}`)).toBe(true);
  owner.kill('SIGKILL');
  const deadline = performance.now() + 30_000;
  while (existsSync(`/proc/${pid}`) && performance.now() < deadline) await delay(50);
  expect(existsSync(`/proc/${pid}`)).toBe(false);
});
