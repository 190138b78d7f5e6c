/** A real Postgres for tests of libs/postgres, observed from outside, and proxies before it that lose or change its replies. */
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach } from '@jest/globals';
import { startPostgres, type Postgres } from '@millrace/local-cluster';
import { createDatabase, PgError, type Database, type DatabaseOptions, type Tx } from '@millrace/postgres';
import { createLog } from '@millrace/runtime';

export const silent = createLog({ name: 'test', level: 'silent' });
let dir: string;
export let postgres: Postgres;
/** Looks on from outside. */
export let observer: Database;
const opened: Database[] = [];
const proxies: Proxy[] = [];

/** The server for the tests of a file, with a table `entry` that is empty before each. */
export function usePostgres(): void {
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
}

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

export function open(options: Partial<DatabaseOptions> = {}): Database {
  const database = createDatabase({ ...defaults(), ...options });
  opened.push(database);
  return database;
}

export async function failure(work: Promise<unknown>): Promise<PgError> {
  const error: unknown = await work.then(
    () => new Error('nothing failed'),
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof PgError)) throw error;
  return error;
}

export const insert = (id: number, note = 'kept') => ({ name: 'entry_insert', text: 'insert into entry (id, note) values ($1, $2)', values: [id, note] });
export const ids = async (): Promise<bigint[]> =>
  (await observer.query<{ id: bigint }>({ text: 'select id from entry order by id' })).map((row) => row.id);
export const pidOf = async (on: Pick<Tx, 'query'>): Promise<number> =>
  (await on.query<{ pid: number }>({ text: 'select pg_backend_pid() as pid' }))[0]!.pid;

/** What becomes of bytes on their way: changed, `drop`ped for good from here on, or the link `cut`. */
type Tamper = (bytes: Buffer) => Buffer | 'drop' | 'cut';

interface Proxy {
  readonly url: string;
  close(): void;
}

export async function proxyTo(port: number, tampers: { replies?: Tamper; requests?: Tamper }): Promise<Proxy> {
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
