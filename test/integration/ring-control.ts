/** The ring-manager's control plane on a real Postgres, for tests, through its admin API; the movers are played. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from '@jest/globals';
import { startPostgres, type Postgres } from '@millrace/local-cluster';
import { createDatabase, migrate, type Database } from '@millrace/postgres';
import { createTopology, spread, type Topology } from '@millrace/ring';
import { createLog, createRegistry } from '@millrace/runtime';
import { prepareShard, seedSlots } from '@millrace/slot-processor';
import { until } from '@millrace/testkit';
import { controlMigrations, createShards, identifyCluster, proposeTopology, type Cluster, type Shards } from '@millrace/topology';
import type { Epoch, ShardId, Slot } from '@millrace/write';
import { routesOf } from '../../services/ring-manager/src/api/routes.ts';
import type { Route } from '@millrace/admin';
import { startAdmin } from '../../services/ring-manager/src/api/server.ts';
import { acquireLease } from '../../services/ring-manager/src/control/lease.sql.ts';
import { createLeadership, type Leadership } from '../../services/ring-manager/src/control/leadership.ts';
import { seedMembers } from '../../services/ring-manager/src/control/members.sql.ts';
import { runEngine, type EngineInput } from '../../services/ring-manager/src/engine/engine.ts';
import { CONTROL_POOL, LEASE_POOL } from '../../services/ring-manager/src/limits.ts';
import { createRingMetrics } from '../../services/ring-manager/src/metrics.ts';
import type { DriveInput, DriveResult, MoveOrder } from '../../services/ring-manager/src/move/types.ts';

export const SLOTS = 8;
const TOKEN = 'a-token-for-this-test';
export const A = 'a' as ShardId;
export const B = 'b' as ShardId;
export const OWNER = { applicationName: 'test', poolMax: 4, statementTimeoutMs: 30_000, idleInTransactionTimeoutMs: 30_000, connectTimeoutMs: 5_000 };
/** As the product's, but quick. */
export const TIMING = { ttlMs: 1_500, renewMs: 300, retryMs: 100 };
const DATABASES = ['control', 'shard_a', 'shard_b', 'shard_c'];
export const log = createLog({ name: 'test', level: 'silent' });
const dir = mkdtempSync(join(tmpdir(), 'millrace-ring-'));
export const shardsFile = join(dir, 'shards.json');

let server: Postgres;
export let control: Database;
export let shards: Shards;
export let cluster: Cluster;
export let first: Topology;
export let admin: Admin;
export const cleanups: (() => Promise<unknown>)[] = [];

/** A server for the tests of a file; before each a control database, two shards that own all slots, a third that is empty, and an admin API. */
export function useControl(): void {
  beforeAll(async () => {
    server = await startPostgres({ dir: join(dir, 'postgres'), durable: false });
    const root = createDatabase({ ...OWNER, name: 'root', url: server.url, log });
    for (const name of DATABASES) await root.query({ text: `create database ${name}` });
    await root.end();
  });
  afterAll(async () => {
    await server?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  beforeEach(async () => {
    await Promise.all(DATABASES.map((name) => withDatabase(name, (database) => database.query({ text: 'drop schema public cascade; create schema public' }))));
    writeShards({ a: 'shard_a', b: 'shard_b', c: 'shard_c' });
    control = open('control', CONTROL_POOL);
    shards = createShards({ file: shardsFile, log, settings: OWNER });
    cleanups.push(() => shards.end());
    await migrate({ database: control, migrations: controlMigrations, log });
    cluster = await identifyCluster(control, SLOTS);
    first = createTopology({ epoch: 1 as Epoch, owners: spread(SLOTS, [A, B]) });
    await control.transaction(async (tx) => {
      await proposeTopology(tx, first, { author: 'test', reason: 'first topology' });
      await seedMembers(tx, [A, B]);
    });
    await Promise.all(
      [A, B].map(async (shard) => {
        await prepareShard({ database: shards.get(shard), identity: { clusterId: cluster.id, shard, slots: SLOTS }, log });
        await seedSlots(shards.get(shard), { epoch: 1 as Epoch, slots: slotsOn(first, shard) });
      }),
    );
    admin = await serve();
  });
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });
}

export function urlOf(database: string): string {
  return Object.assign(new URL(server.url), { pathname: `/${database}` }).href;
}

export function open(database: string, pool: Omit<Parameters<typeof createDatabase>[0], 'name' | 'url' | 'log' | 'applicationName'> = OWNER): Database {
  const opened = createDatabase({ applicationName: 'test', ...pool, name: database, url: urlOf(database), log });
  cleanups.push(() => opened.end());
  return opened;
}

export async function withDatabase<T>(name: string, use: (database: Database) => Promise<T>): Promise<T> {
  const database = createDatabase({ ...OWNER, name, url: urlOf(name), log });
  try {
    return await use(database);
  } finally {
    await database.end();
  }
}

export function writeShards(addresses: Readonly<Record<string, string>>): void {
  writeFileSync(shardsFile, JSON.stringify(Object.fromEntries(Object.entries(addresses).map(([id, name]) => [id, name.startsWith('postgres') ? name : urlOf(name)]))));
}

export function slotsOn({ owners }: Topology, shard: ShardId): readonly Slot[] {
  return owners.flatMap((owner, slot) => (owner === shard ? [slot as Slot] : []));
}

interface Operation {
  readonly operationId: string;
  readonly parameters: readonly unknown[];
  readonly requestBody: { readonly content: Record<string, { readonly schema: { readonly required: readonly string[] } }> };
  readonly responses: Record<string, { readonly description: string }>;
}

/** What any answer may hold. */
export interface Body {
  readonly id: string;
  readonly state: string;
  readonly code: string;
  readonly detail?: string;
  readonly error?: string;
  readonly epoch: number;
  readonly owners: readonly string[];
  readonly epochs: readonly { readonly epoch: number; readonly reason: string }[];
  readonly entries: readonly { readonly actor: string; readonly action: string; readonly subject: string }[];
  readonly shards: readonly { readonly shard: string; readonly state: string; readonly slots: number }[];
  readonly moves: readonly { readonly slot: number; readonly source: string; readonly target: string; readonly bytes: number; readonly state: string; readonly paused: boolean }[];
  readonly load: readonly { readonly shard: string; readonly before: number; readonly after: number }[];
  readonly estimate: { readonly seconds: number; readonly stall_ms: number };
  readonly progress: { readonly moves: number; readonly done: number };
  readonly openapi: string;
  readonly paths: Record<string, Record<string, Operation>>;
}

interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly json: Body;
}

interface Admin {
  call(method: string, path: string, body?: unknown): Promise<Reply>;
  raw(path: string, init: RequestInit): Promise<Reply>;
}

/** A ring-manager's admin API on a free port. What it answers has to fit its own description. */
export async function serve(over: Partial<Parameters<typeof routesOf>[0]> = {}): Promise<Admin> {
  const routes = routesOf({
    control,
    shards,
    cluster,
    limits: { movesPerPair: 2, movesMax: 8, bytesPerSecondMax: 100_000_000 },
    statistics: async (database) => (await database.query<{ slot: Slot }>({ text: 'select slot from slot' })).map(({ slot }) => ({ slot, rows: 100n, bytes: BigInt(10_000 * (slot + 1)) })),
    verify: async () => ({ verified: true, tables: [{ table: 'account', rows: 3n, differences: [] }] }),
    topology: () => first,
    log,
    ...over,
  });
  const { port, close } = await startAdmin({ host: '127.0.0.1', port: 0, token: TOKEN, routes, log });
  cleanups.push(close);
  const raw = async (path: string, init: RequestInit): Promise<Reply> => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { ...init, headers: { authorization: `Bearer ${TOKEN}`, ...init.headers } });
    const text = await response.text();
    return { status: response.status, headers: response.headers, json: JSON.parse(text === '' ? '{}' : text) as Body };
  };
  return {
    raw,
    async call(method, path, body) {
      const reply = await raw(path, { method, ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }) });
      if (reply.status < 300) expectDescribed(routes, { method, path, reply });
      return reply;
    },
  };
}

function expectDescribed(routes: readonly Route[], { method, path, reply }: { method: string; path: string; reply: Reply }): void {
  const route = routes.find((one) => one.method === method.toLowerCase() && new RegExp(`^${one.path.replace(/\{\w+\}/g, '[^/]+')}$`).test(path.split('?')[0]!))!;
  expect(reply.status).toBe(route.status);
  if (route.answer !== undefined) expect(route.answer.safeParse(reply.json).error).toBeUndefined();
}

/** Every row of the control database, as text. */
export async function contents(): Promise<Record<string, unknown>> {
  const tables = ['cluster', 'member', 'topology', 'plan', 'move', 'audit', 'lease'];
  const each = tables.map(async (table) => [table, (await control.query<{ row: string }>({ text: `select t::text as row from ${table} t order by 1` })).map(({ row }) => row)] as const);
  return Object.fromEntries(await Promise.all(each));
}

/** Tables of a database, and how many rows each has. */
export async function tablesOf(name: string): Promise<unknown> {
  return withDatabase(name, async (database) => {
    const tables = await database.query<{ name: string }>({ text: `select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1` });
    return Promise.all(tables.map(async (table) => [table.name, await database.query({ text: `select count(*) from "${table.name}"` })]));
  });
}

interface Played {
  readonly drive: (input: DriveInput) => Promise<DriveResult>;
  /** Those that a mover was started for, in order. */
  readonly orders: MoveOrder[];
  /** What the movers came back with: `3 paused`, by the id of the move. */
  readonly ends: string[];
  /** Movers wait here until it is opened. */
  openGate(): void;
}

/** A mover without shards: it reports, waits at a gate, publishes, and is done. */
export function playMover({ gated = false, act }: { gated?: boolean; act?: (input: DriveInput) => Promise<DriveResult | undefined> } = {}): Played {
  const gate = Promise.withResolvers<void>();
  let isOpen = !gated;
  if (!gated) gate.resolve();
  const orders: MoveOrder[] = [];
  const ends: string[] = [];

  async function play(input: DriveInput): Promise<DriveResult> {
    await input.report('copying', { rows: 10, bytes: 5_000_000, rounds: 1 });
    const acted = await act?.(input);
    if (acted !== undefined) return acted;
    for (;;) {
      const wish = await input.wish();
      if (wish === 'abort') return 'aborted';
      if (wish === 'pause') return 'paused';
      if (isOpen) break;
      await Promise.race([gate.promise, new Promise((resolve) => setTimeout(resolve, 20))]);
      input.signal.throwIfAborted();
    }
    await input.report('activated', { stallMs: 42, activatedAt: new Date().toISOString() });
    await input.publish();
    expect(await input.isPublished()).toBe(true);
    return 'done';
  }

  return {
    orders,
    ends,
    openGate: () => {
      isOpen = true;
      gate.resolve();
    },
    async drive(input) {
      orders.push(input.order);
      const end = await play(input);
      ends.push(`${input.order.id} ${end}`);
      return end;
    },
  };
}

interface Instance {
  readonly leadership: Leadership;
  readonly announced: Topology[];
}

/** A ring-manager without Kafka: it asks for the lease, and leads with the mover that is given. */
export function startInstance(name: string, played: Pick<Played, 'drive'>, { lease = open('control', { ...LEASE_POOL }) }: { lease?: Database } = {}): Instance {
  const announced: Topology[] = [];
  const engine: EngineInput = {
    control,
    database: shards.get,
    drive: played.drive,
    announce: (topology) => void announced.push(topology),
    pace: { take: () => Promise.resolve(), rest: () => Promise.resolve(), pieceMs: (idleMs: number) => idleMs, observe: () => undefined, bytesPerSecond: () => 1 },
    stallBudgetMs: 250,
    instance: name,
    metrics: createRingMetrics(createRegistry()),
    log,
    movesPerPair: 2,
    movesMax: 3,
  };
  const leadership = createLeadership({ lease, holder: name, lead: (term) => runEngine(engine, term), timing: TIMING, log });
  cleanups.push(() => leadership.stop());
  return { leadership, announced };
}

export const leads = ({ leadership }: Instance): Promise<bigint> => until('it leads', () => leadership.token());
export const moveState = async (id: string): Promise<string> => String((await admin.call('GET', `/v1/moves/${id}`)).json.state);
export const untilMove = (id: string, state: string): Promise<unknown> => until(`move ${id} is ${state}`, async () => (await moveState(id)) === state);
export const untilPlan = (id: string, state: string): Promise<unknown> => until(`plan ${id} is ${state}`, async () => (await admin.call('GET', `/v1/plans/${id}`)).json.state === state);

export async function byHand(slot: number): Promise<string> {
  const target = first.owners[slot] === A ? B : A;
  const { status, json } = await admin.call('POST', '/v1/moves', { slot, target });
  expect(status).toBe(202);
  return String(json.id);
}

export async function audited(): Promise<readonly string[]> {
  return (await admin.call('GET', '/v1/audit')).json.entries.map(({ actor, action, subject }) => `${actor} ${action} ${subject}`);
}

/** As another ring-manager does it once the lease has run out. */
export async function takeOver(holder: string): Promise<bigint> {
  await control.query({ text: 'update lease set expires_at = clock_timestamp()' });
  return (await acquireLease(control, { holder, ttlMs: 60_000 }))!;
}
