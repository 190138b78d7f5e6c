/** The ring-manager's control plane on a real Postgres, through its admin API; the movers are played by the test. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { startPostgres, type Postgres } from '@millrace/local-cluster';
import { createDatabase, migrate, PgError, type Database } from '@millrace/postgres';
import { createTopology, spread, type Topology } from '@millrace/ring';
import { createLog, createRegistry } from '@millrace/runtime';
import { ForeignShard, prepareShard, seedSlots } from '@millrace/slot-processor';
import { until } from '@millrace/testkit';
import { controlMigrations, createShards, identifyCluster, proposeTopology, readTopology, type Cluster, type Shards } from '@millrace/topology';
import type { Epoch, ShardId, Slot } from '@millrace/write';
import { routesOf } from '../../services/ring-manager/src/api/routes.ts';
import type { Route } from '@millrace/admin';
import { startAdmin } from '../../services/ring-manager/src/api/server.ts';
import { changing } from '../../services/ring-manager/src/control/change.ts';
import { acquireLease, readLease, releaseLease, renewLease, underLease } from '../../services/ring-manager/src/control/lease.sql.ts';
import { createLeadership, type Leadership, type Term } from '../../services/ring-manager/src/control/leadership.ts';
import { activateMembers, seedMembers } from '../../services/ring-manager/src/control/members.sql.ts';
import { endPlans } from '../../services/ring-manager/src/control/plans.sql.ts';
import { runEngine, type EngineInput } from '../../services/ring-manager/src/engine/engine.ts';
import { beginMove, endMove, noteError, noteProgress, turnBack } from '../../services/ring-manager/src/engine/moves.sql.ts';
import { makeOwner } from '../../services/ring-manager/src/engine/owner.ts';
import { CONTROL_POOL, LEASE, LEASE_POOL } from '../../services/ring-manager/src/limits.ts';
import { createRingMetrics } from '../../services/ring-manager/src/metrics.ts';
import { Superseded, VerificationFailed, type DriveInput, type DriveResult, type MoveOrder } from '../../services/ring-manager/src/move/types.ts';

const SLOTS = 8;
const TOKEN = 'a-token-for-this-test';
const A = 'a' as ShardId;
const B = 'b' as ShardId;
const OWNER = { applicationName: 'test', poolMax: 4, statementTimeoutMs: 30_000, idleInTransactionTimeoutMs: 30_000, connectTimeoutMs: 5_000 };
/** As the product's, but quick. */
const TIMING = { ttlMs: 1_500, renewMs: 300, retryMs: 100 };
const DATABASES = ['control', 'shard_a', 'shard_b', 'shard_c'];
const log = createLog({ name: 'test', level: 'silent' });
const dir = mkdtempSync(join(tmpdir(), 'millrace-ring-'));
const shardsFile = join(dir, 'shards.json');

let server: Postgres;
let control: Database;
let shards: Shards;
let cluster: Cluster;
let first: Topology;
let admin: Admin;
const cleanups: (() => Promise<unknown>)[] = [];

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

function urlOf(database: string): string {
  return Object.assign(new URL(server.url), { pathname: `/${database}` }).href;
}

function open(database: string, pool: Omit<Parameters<typeof createDatabase>[0], 'name' | 'url' | 'log' | 'applicationName'> = OWNER): Database {
  const opened = createDatabase({ applicationName: 'test', ...pool, name: database, url: urlOf(database), log });
  cleanups.push(() => opened.end());
  return opened;
}

async function withDatabase<T>(name: string, use: (database: Database) => Promise<T>): Promise<T> {
  const database = createDatabase({ ...OWNER, name, url: urlOf(name), log });
  try {
    return await use(database);
  } finally {
    await database.end();
  }
}

function writeShards(addresses: Readonly<Record<string, string>>): void {
  writeFileSync(shardsFile, JSON.stringify(Object.fromEntries(Object.entries(addresses).map(([id, name]) => [id, name.startsWith('postgres') ? name : urlOf(name)]))));
}

function slotsOn({ owners }: Topology, shard: ShardId): readonly Slot[] {
  return owners.flatMap((owner, slot) => (owner === shard ? [slot as Slot] : []));
}

interface Operation {
  readonly operationId: string;
  readonly parameters: readonly unknown[];
  readonly requestBody: { readonly content: Record<string, { readonly schema: { readonly required: readonly string[] } }> };
  readonly responses: Record<string, { readonly description: string }>;
}

/** What any answer may hold. */
interface Body {
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
async function serve(over: Partial<Parameters<typeof routesOf>[0]> = {}): Promise<Admin> {
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
async function contents(): Promise<Record<string, unknown>> {
  const tables = ['cluster', 'member', 'topology', 'plan', 'move', 'audit', 'lease'];
  const each = tables.map(async (table) => [table, (await control.query<{ row: string }>({ text: `select t::text as row from ${table} t order by 1` })).map(({ row }) => row)] as const);
  return Object.fromEntries(await Promise.all(each));
}

/** Tables of a database, and how many rows each has. */
async function tablesOf(name: string): Promise<unknown> {
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
function playMover({ gated = false, act }: { gated?: boolean; act?: (input: DriveInput) => Promise<DriveResult | undefined> } = {}): Played {
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
function startInstance(name: string, played: Pick<Played, 'drive'>, { lease = open('control', { ...LEASE_POOL }) }: { lease?: Database } = {}): Instance {
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

const leads = ({ leadership }: Instance): Promise<bigint> => until('it leads', () => leadership.token());
const moveState = async (id: string): Promise<string> => String((await admin.call('GET', `/v1/moves/${id}`)).json.state);
const untilMove = (id: string, state: string): Promise<unknown> => until(`move ${id} is ${state}`, async () => (await moveState(id)) === state);
const untilPlan = (id: string, state: string): Promise<unknown> => until(`plan ${id} is ${state}`, async () => (await admin.call('GET', `/v1/plans/${id}`)).json.state === state);

async function byHand(slot: number): Promise<string> {
  const target = first.owners[slot] === A ? B : A;
  const { status, json } = await admin.call('POST', '/v1/moves', { slot, target });
  expect(status).toBe(202);
  return String(json.id);
}

async function audited(): Promise<readonly string[]> {
  return (await admin.call('GET', '/v1/audit')).json.entries.map(({ actor, action, subject }) => `${actor} ${action} ${subject}`);
}

/** As another ring-manager does it once the lease has run out. */
async function takeOver(holder: string): Promise<bigint> {
  await control.query({ text: 'update lease set expires_at = clock_timestamp()' });
  return (await acquireLease(control, { holder, ttlMs: 60_000 }))!;
}

describe('the lease', () => {
  test('one holds it; another gets it once it was given back, or ran out, with a higher token', async () => {
    expect(await acquireLease(control, { holder: 'one', ttlMs: 60_000 })).toBe(1n);
    expect(await acquireLease(control, { holder: 'two', ttlMs: 60_000 })).toBeUndefined();
    expect(await renewLease(control, { token: 1n, ttlMs: 60_000 })).toBe(true);
    expect(await readLease(control)).toMatchObject({ holder: 'one', token: 1n });
    await releaseLease(control, 1n);
    expect(await readLease(control)).toBeUndefined();
    expect(await acquireLease(control, { holder: 'two', ttlMs: 60_000 })).toBe(2n);
    expect(await takeOver('three')).toBe(3n);
    expect(await renewLease(control, { token: 2n, ttlMs: 60_000 })).toBe(false);
    await releaseLease(control, 2n);
    expect(await readLease(control)).toMatchObject({ holder: 'three', token: 3n });
  });

  test('of many that ask at once one gets it', async () => {
    const tokens = await Promise.all(Array.from({ length: 6 }, (_, n) => acquireLease(control, { holder: `r${n}`, ttlMs: 60_000 })));
    expect(tokens.filter((token) => token !== undefined)).toEqual([1n]);
  });

  test('a lease that ran out is not renewed, though nobody has taken it', async () => {
    await acquireLease(control, { holder: 'one', ttlMs: 60_000 });
    await control.query({ text: 'update lease set expires_at = clock_timestamp()' });
    expect(await renewLease(control, { token: 1n, ttlMs: 60_000 })).toBe(false);
  });

  test('by its constants a takeover takes no more than 10 s', () => {
    expect(LEASE.ttlMs + LEASE.retryMs + LEASE_POOL.statementTimeoutMs).toBeLessThanOrEqual(10_000);
    expect(CONTROL_POOL.idleInTransactionTimeoutMs).toBeLessThan(LEASE.ttlMs);
    expect(2 * LEASE.renewMs).toBeLessThan(LEASE.ttlMs);
  });

  test('a leader that drains is followed by the standby, and one that dies too', async () => {
    const [one, two, three] = ['one', 'two', 'three'].map((name) => ({ name, lease: createDatabase({ ...LEASE_POOL, applicationName: name, name, url: urlOf('control'), log }) }));
    cleanups.push(() => Promise.all([two!.lease.end(), three!.lease.end()]));
    const played = playMover();
    const a = startInstance('one', played, one);
    expect(await leads(a)).toBe(1n);
    const b = startInstance('two', played, two);
    await a.leadership.stop();
    expect(await leads(b)).toBe(2n);
    const c = startInstance('three', played, three);
    // Its renewals fail from here on, as those of a process that is gone.
    await two!.lease.end();
    expect(await leads(c)).toBe(3n);
    await one!.lease.end();
  });

  test('a holder that cannot renew ends its term by itself, before anybody else begins one', async () => {
    const lease = createDatabase({ ...LEASE_POOL, applicationName: 'one', name: 'lease', url: urlOf('control'), log });
    const terms: Term[] = [];
    const ended: unknown[] = [];
    const leadership = createLeadership({
      lease,
      holder: 'one',
      timing: TIMING,
      log,
      lead: (term) => {
        terms.push(term);
        return new Promise((resolve) => term.signal.addEventListener('abort', () => resolve(void ended.push(term.signal.reason))));
      },
    });
    cleanups.push(() => leadership.stop());
    await until('it leads', () => terms.length === 1);
    await lease.end();
    await until('the term is over', () => ended.length === 1);
    expect(ended[0]).toBeInstanceOf(Superseded);
    expect(String(ended[0])).toContain('could not be renewed');
    expect(leadership.token()).toBeUndefined();
  });

  test('a leader that sleeps inside a transaction holds the lease no longer than the server lets it', async () => {
    await acquireLease(control, { holder: 'one', ttlMs: 100 });
    const asleep = Promise.withResolvers<void>();
    const holding = Promise.withResolvers<void>();
    const sleeper = underLease(control, 1n, async (tx) => {
      await tx.query({ text: 'select 1' });
      holding.resolve();
      await asleep.promise;
      await tx.query({ text: `update member set weight = 7` });
    });
    sleeper.catch(() => undefined);
    await holding.promise;
    const lease = open('control', LEASE_POOL);
    const token = await until('the lease is had', () => acquireLease(lease, { holder: 'two', ttlMs: 60_000 }).catch(() => undefined));
    expect(token).toBe(2n);
    asleep.resolve();
    await expect(sleeper).rejects.toThrow();
    expect(await control.query({ text: 'select weight from member where weight = 7' })).toEqual([]);
  });
});

describe('R5 a leader that was followed changes nothing', () => {
  const order = { id: 1n, slot: 0 as Slot, source: A, target: B };
  const writes: Record<string, (token: bigint) => Promise<unknown>> = {
    'begins no move': (token) => underLease(control, token, (tx) => beginMove(tx, 1n)),
    'notes no progress': (token) => underLease(control, token, (tx) => noteProgress(tx, { id: 2n, phase: 'checking', progress: { rows: 99 } })),
    'ends no move': (token) => underLease(control, token, (tx) => endMove(tx, { id: 2n, as: 'done' })),
    'turns no move back': (token) => underLease(control, token, (tx) => turnBack(tx, { id: 2n, error: 'late' })),
    'notes no error': (token) => underLease(control, token, (tx) => noteError(tx, { id: 2n, error: 'late' })),
    'ends no plan and welcomes no member': (token) =>
      underLease(control, token, async (tx) => {
        await endPlans(tx);
        await activateMembers(tx);
      }),
    'makes no epoch': (token) => makeOwner({ control, token, instance: 'late', order: { ...order, slot: slotsOn(first, A)[0]! } }),
  };

  test.each(Object.keys(writes))('it %s', async (what) => {
    await acquireLease(control, { holder: 'one', ttlMs: 60_000 });
    const [begun, planned] = slotsOn(first, A);
    await byHand(planned!);
    await byHand(begun!);
    await control.query({ text: `update move set state = 'running' where id = 2` });
    await control.query({ text: `insert into plan (state, base_epoch, by, content, created_by) values ('running', 1, 'slots', '{}', 'test')` });
    await control.query({ text: `update member set state = 'joining' where shard = 'a'` });
    await takeOver('two');
    const before = await contents();
    await expect(writes[what]?.(1n)).rejects.toThrow(Superseded);
    expect(await contents()).toEqual(before);
    // The one that leads now can.
    await writes[what]?.(2n);
    expect(await contents()).not.toEqual(before);
  });

  test('its engine stops with every mover, and nothing of what they wanted to write is there', async () => {
    const outcome = Promise.withResolvers<unknown>();
    const woken = Promise.withResolvers<void>();
    const inside = Promise.withResolvers<void>();
    const sleeper = playMover({
      act: async (input) => {
        inside.resolve();
        await woken.promise;
        for (const write of [() => input.report('fenced', { rows: 1_000 }), input.publish]) {
          await write().then(() => outcome.resolve('wrote'), outcome.resolve);
        }
        throw await outcome.promise;
      },
    });
    await byHand(0);
    const one = startInstance('one', sleeper, { lease: open('control', LEASE_POOL) });
    await leads(one);
    await inside.promise;
    const token = await takeOver('two');
    const before = await contents();
    woken.resolve();
    expect(await outcome.promise).toBeInstanceOf(Superseded);
    await until('it leads no more', () => one.leadership.token() === undefined);
    expect(await contents()).toEqual(before);
    expect(await readLease(control)).toMatchObject({ holder: 'two', token });
    expect((await readTopology(control))?.epoch).toBe(1);
  });
});

describe('epochs', () => {
  test('R2 rise by one for each move, whoever publishes at once, and only once for the same move', async () => {
    const token = (await acquireLease(control, { holder: 'one', ttlMs: 60_000 }))!;
    const orders = slotsOn(first, A).map((slot, n) => ({ id: BigInt(n + 1), slot, source: A, target: B }));
    await Promise.all([...orders, ...orders].map((order) => makeOwner({ control, token, order, instance: 'one' })));
    const history = (await admin.call('GET', '/v1/topology/history')).json.epochs;
    expect(history.map(({ epoch }) => epoch)).toEqual(Array.from({ length: orders.length + 1 }, (_, n) => orders.length + 1 - n));
    expect(history[0]?.reason).toMatch(/^move \d+: slot \d+ from a to b$/);
    const newest = (await admin.call('GET', '/v1/topology')).json;
    expect(newest.owners).toEqual(Array.from({ length: SLOTS }, () => B));
    expect((await admin.call('GET', '/v1/topology?epoch=1')).json).toMatchObject({ epoch: 1, slots: SLOTS, owners: first.owners, created_by: 'test', reason: 'first topology' });
    expect((await admin.call('GET', '/v1/topology?epoch=99')).json.code).toBe('not_found');
  });

  test('the newest is republished by whoever begins to lead', async () => {
    const one = startInstance('one', playMover());
    await until('it is announced', () => one.announced.length > 0);
    expect(one.announced[0]).toEqual(first);
  });
});

describe('a plan', () => {
  const preview = async (body: unknown = { changes: [{ shard: 'c' }] }): Promise<Body> => {
    const { status, json } = await admin.call('POST', '/v1/plans', body);
    expect({ status, code: json.code }).toEqual({ status: 201, code: undefined });
    return json;
  };

  test('shows what would move, how much, and what each shard carries, and changes no member, move or epoch', async () => {
    const before = await contents();
    const plan = await preview();
    expect(plan).toMatchObject({ id: '1', state: 'preview', by: 'slots', base_epoch: 1, changes: [{ shard: 'c' }], progress: { done: 0 } });
    expect(plan.moves.length).toBeGreaterThanOrEqual(2);
    expect(plan.moves.every(({ target }) => target === 'c')).toBe(true);
    const moved = plan.moves.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(plan.estimate).toMatchObject({ rows: 100 * plan.moves.length, bytes: moved, stall_ms: 100 });
    expect(plan.estimate.seconds).toBeGreaterThan(0);
    expect(plan.load.map(({ shard }) => shard)).toEqual(['a', 'b', 'c']);
    expect(plan.load.map(({ before: was }) => was)).toEqual([4, 4, 0]);
    expect(plan.load.reduce((sum, { after }) => sum + after, 0)).toBe(SLOTS);
    const after = await contents();
    for (const table of ['member', 'move', 'topology']) expect(after[table]).toEqual(before[table]);
    expect(await tablesOf('shard_c')).toEqual([]);
  });

  test('can even out bytes, and what is written in a second', async () => {
    const bytes = await preview({ by: 'bytes', changes: [{ shard: 'c' }] });
    expect(bytes.load.reduce((sum, { before }) => sum + before, 0)).toBe(360_000);
    const written = slotsOn(first, A)[0]!;
    const writing = setInterval(() => void shards.get(A).query({ text: `update position set next_offset = next_offset + 100 where slot = ${written} and stream = 'writes'` }), 100);
    const rate = await preview({ by: 'rate' }).finally(() => clearInterval(writing));
    const load = rate.load.find(({ shard }) => shard === 'a');
    expect(load?.before).toBeGreaterThan(0);
    expect(rate.load.find(({ shard }) => shard === 'b')?.before).toBe(0);
  });

  test('is started, moves its slots a few at a time, and ends; who joined is active then', async () => {
    const played = playMover({ gated: true });
    const one = startInstance('one', played);
    await leads(one);
    const { id, moves } = await preview({ changes: [{ shard: 'c', weight: 2 }] });
    const started = await admin.call('POST', `/v1/plans/${id}/start`);
    expect(started.json).toMatchObject({ id, state: 'running', progress: { moves: moves.length, done: 0, aborted: 0 } });
    expect((await admin.call('GET', '/v1/shards')).json.shards).toMatchObject([{ shard: 'a' }, { shard: 'b' }, { shard: 'c', state: 'joining', weight: 2, slots: 0 }]);
    await until('movers are at work', () => played.orders.length === 3);
    const running = (await admin.call('GET', `/v1/moves?plan=${id}&open=true`)).json.moves.filter(({ state }) => state === 'running');
    expect(running.length).toBe(3);
    const pairs = Map.groupBy(played.orders, ({ source }) => source);
    for (const [, those] of pairs) expect(those.length).toBeLessThanOrEqual(2);
    played.openGate();
    await untilPlan(id, 'done');
    const plan = (await admin.call('GET', `/v1/plans/${id}`)).json;
    expect(plan.progress).toEqual({ moves: moves.length, done: moves.length, aborted: 0, rows: 10 * moves.length, bytes: 5_000_000 * moves.length });
    const topology = (await admin.call('GET', '/v1/topology')).json;
    expect(topology.epoch).toBe(1 + moves.length);
    for (const { slot } of moves) expect(topology.owners[slot]).toBe('c');
    await until('c is active', async () => (await admin.call('GET', '/v1/shards')).json.shards[2]?.state === 'active');
    expect(one.announced.at(-1)?.epoch).toBe(1 + moves.length);
    const lines = await audited();
    for (const line of [`admin plan.preview plan ${id}`, `admin plan.start plan ${id}`, `one plan.done plan ${id}`, 'one shard.active shard c', 'one move.start move 1', 'one move.done move 1', 'one topology.publish epoch 2']) {
      expect(lines).toContain(line);
    }
    // The next estimate is from what was measured.
    expect((await preview()).estimate.stall_ms).toBe(42);
  });

  test('is refused once an owner, or a member, is another than it was made for', async () => {
    const byOwner = await preview();
    const other = first.owners.findIndex((_, slot) => !byOwner.moves.some((move) => move.slot === slot));
    const move = await byHand(other);
    // It is known by then where the slot will be.
    expect((await admin.call('POST', `/v1/plans/${byOwner.id}/start`)).json.code).toBe('plan_outdated');
    const played = playMover();
    startInstance('one', played);
    await untilMove(move, 'done');
    expect((await admin.call('POST', `/v1/plans/${byOwner.id}/start`)).json.code).toBe('plan_outdated');
    const byMember = await preview();
    await admin.call('PATCH', '/v1/shards/a', { weight: 3 });
    const before = await contents();
    expect((await admin.call('POST', `/v1/plans/${byMember.id}/start`)).json.code).toBe('plan_outdated');
    expect(await contents()).toEqual(before);
  });

  test('is started while moves go on and make epochs as it counted on them', async () => {
    const played = playMover({ gated: true });
    startInstance('one', played);
    const [before, after] = [await byHand(0), await byHand(1)];
    const { id, moves, ...plan } = await preview();
    expect(plan).toMatchObject({ balance: expect.any(Number), bound: expect.any(Number) });
    expect(moves.map(({ slot }) => slot)).not.toContain(0);
    played.openGate();
    await Promise.all([before, after].map((move) => untilMove(move, 'done')));
    expect((await admin.call('GET', '/v1/topology')).json.epoch).toBe(3);
    expect((await admin.call('POST', `/v1/plans/${id}/start`)).status).toBe(202);
    await untilPlan(id, 'done');
  });

  test('can be looked at while a shard is down, by slots, and says what it was made without', async () => {
    await shards.end();
    writeShards({ a: 'shard_a', b: 'postgres://nobody@127.0.0.1:1/none' });
    shards = createShards({ file: shardsFile, log, settings: OWNER });
    const down = await serve();
    cleanups.push(() => shards.end());
    const { status, json } = await down.call('POST', '/v1/plans', { changes: [{ shard: 'c' }] });
    expect({ status, note: (json as { note?: string }).note }).toEqual({ status: 201, note: expect.stringContaining('shard b') });
    expect((await down.call('POST', '/v1/plans', { by: 'bytes' })).json.code).toBe('shard_unavailable');
  });

  test('in a list is without its moves; previews that nobody started are forgotten after a day', async () => {
    const old = await preview();
    await control.query({ text: `update plan set created_at = now() - interval '25 hours'` });
    const { id, moves } = await preview();
    const { plans } = (await admin.call('GET', '/v1/plans')).json as unknown as { plans: readonly Body[] };
    expect(plans.map((plan) => [plan.id, plan.progress.moves, plan.moves])).toEqual([[id, moves.length, undefined]]);
    expect((await admin.call('GET', `/v1/plans/${old.id}`)).json.code).toBe('unknown_plan');
    expect((await admin.call('GET', '/v1/plans?limit=501')).json.code).toBe('invalid_parameter');
  });

  test('that is aborted ends also where a move of it rests past its activation', async () => {
    const token = await takeOver('one');
    const { id, moves } = await preview();
    await admin.call('POST', `/v1/plans/${id}/start`);
    const [late] = (await admin.call('GET', `/v1/moves?plan=${id}`)).json.moves as unknown as readonly Body[];
    await control.query({ text: `update move set state = 'running', phase = 'activated' where id = $1`, values: [late!.id] });
    await admin.call('POST', `/v1/moves/${late!.id}/pause`);
    await admin.call('POST', `/v1/plans/${id}/abort`);
    expect((await admin.call('GET', `/v1/moves/${late!.id}`)).json).toMatchObject({ state: 'running', paused: false });
    await underLease(control, token, (tx) => endMove(tx, { id: BigInt(late!.id), as: 'done' }));
    await underLease(control, token, endPlans);
    expect((await admin.call('GET', `/v1/plans/${id}`)).json).toMatchObject({ state: 'aborted', progress: { done: 1, aborted: moves.length - 1 } });
  });

  test('to empty a shard that is aborted before anything has moved keeps the shard; after that, and where it drained before, it stays draining', async () => {
    const token = await takeOver('one');
    const stateOfB = async () => (await admin.call('GET', '/v1/shards')).json.shards.find(({ shard }) => shard === 'b')?.state;
    const aborted = async (end: () => Promise<unknown>): Promise<void> => {
      const { id } = (await admin.call('POST', '/v1/shards/b/drain')).json;
      await end();
      await admin.call('POST', `/v1/plans/${id}/abort`);
      await underLease(control, token, endPlans);
      expect((await admin.call('GET', `/v1/plans/${id}`)).json.state).toBe('aborted');
    };
    await aborted(() => Promise.resolve());
    expect(await stateOfB()).toBe('active');
    await aborted(() => control.query({ text: `update move set state = 'done' where id = (select max(id) from move)` }));
    expect(await stateOfB()).toBe('draining');
    await aborted(() => Promise.resolve());
    expect(await stateOfB()).toBe('draining');
  });

  test('that was never started has no way back', async () => {
    const { id } = await preview();
    await admin.call('POST', `/v1/plans/${id}/abort`);
    expect((await admin.call('POST', '/v1/plans', { reverse_of: id })).json.code).toBe('plan_state');
  });

  test('is started once, however often and wherever it is asked for', async () => {
    const { id, moves } = await preview();
    const other = await serve();
    const replies = await Promise.all([admin, other, admin, other].map((instance) => instance.call('POST', `/v1/plans/${id}/start`)));
    expect(replies.map(({ status }) => status).sort()).toEqual([202, 409, 409, 409]);
    expect(replies.filter(({ status }) => status === 409).map(({ json }) => json.code)).toEqual(Array.from({ length: 3 }, () => 'plan_state'));
    expect((await admin.call('GET', `/v1/moves?plan=${id}`)).json.moves).toHaveLength(moves.length);
  });

  test('R3 of two plans with a slot in common one is started, all or nothing', async () => {
    const [one, two] = [await preview(), await preview()];
    const other = await serve();
    const replies = await Promise.all([admin.call('POST', `/v1/plans/${one.id}/start`), other.call('POST', `/v1/plans/${two.id}/start`)]);
    expect(replies.map(({ status }) => status).sort()).toEqual([202, 409]);
    // Who comes second meets a member that has joined meanwhile, before it meets the slots.
    expect(replies.find(({ status }) => status === 409)?.json.code).toBe('plan_outdated');
    expect((await admin.call('GET', '/v1/moves')).json.moves).toHaveLength(one.moves.length);
  });

  test('R3 with a slot that moves already is not started, not even in part', async () => {
    const { id, moves } = await preview({ changes: [{ shard: 'b', state: 'draining' }] });
    await byHand(moves[0]!.slot);
    const before = await contents();
    const refused = await admin.call('POST', `/v1/plans/${id}/start`);
    expect(refused).toMatchObject({ status: 409, json: { code: 'slot_moving', slots: [moves[0]!.slot] } });
    expect(await contents()).toEqual(before);
  });

  test('that empties a shard is not started while a slot is on its way there', async () => {
    const { id } = await preview({ changes: [{ shard: 'b', state: 'draining' }] });
    await byHand(slotsOn(first, A)[0]!);
    const before = await contents();
    expect((await admin.call('POST', `/v1/plans/${id}/start`)).json.code).toBe('slot_moving');
    expect(await contents()).toEqual(before);
  });

  test('that counted on a move which was turned back is outdated', async () => {
    const [slot] = slotsOn(first, A);
    const move = await byHand(slot!);
    const { id, moves } = await preview({ changes: [{ shard: 'b', state: 'draining' }] });
    expect(moves).toContainEqual(expect.objectContaining({ slot, source: 'b', target: 'a' }));
    await admin.call('POST', `/v1/moves/${move}/abort`);
    const before = await contents();
    expect((await admin.call('POST', `/v1/plans/${id}/start`)).json.code).toBe('plan_outdated');
    expect(await contents()).toEqual(before);
  });

  test('is not started with a shard that has become foreign since the preview', async () => {
    const { id } = await preview();
    await withDatabase('shard_c', (database) => prepareShard({ database, identity: { clusterId: '00000000-0000-4000-8000-000000000000', shard: 'c' as ShardId, slots: SLOTS }, log }));
    const before = await contents();
    expect((await admin.call('POST', `/v1/plans/${id}/start`)).json.code).toBe('foreign_shard');
    expect(await contents()).toEqual(before);
  });

  test('reads a topology that nobody changes before it has started', async () => {
    const token = await takeOver('one');
    const order = { id: 1n, slot: slotsOn(first, A)[0]!, source: A, target: B };
    const epochs: (number | undefined)[] = [];
    const publishing: Promise<Topology>[] = [];
    await changing(control, async (tx) => {
      publishing.push(makeOwner({ control, token, order, instance: 'one' }));
      await until('the epoch waits for the change', async () => (await control.query({ text: `select pid from pg_stat_activity where datname = 'control' and wait_event_type = 'Lock'` })).length > 0, { deadlineMs: 10_000 });
      epochs.push((await readTopology(tx))?.epoch);
    });
    expect(epochs).toEqual([1]);
    expect((await Promise.all(publishing))[0]?.epoch).toBe(2);
  });

  test('that is paused starts no move, and goes on when it is resumed', async () => {
    const played = playMover({ gated: true });
    startInstance('one', played);
    const { id, moves } = await preview();
    await admin.call('POST', `/v1/plans/${id}/start`);
    await until('movers are at work', () => played.orders.length > 0);
    expect((await admin.call('POST', `/v1/plans/${id}/pause`)).json.state).toBe('paused');
    const paused = (await admin.call('GET', `/v1/moves?plan=${id}`)).json.moves;
    expect(paused.every(({ paused: rests }) => rests)).toBe(true);
    const begun = played.orders.length;
    await until('the movers rest', () => played.ends.length === begun);
    expect(played.ends.every((end) => end.endsWith('paused'))).toBe(true);
    played.openGate();
    // Another move shows that the leader is at work.
    await untilMove(await byHand(first.owners.findIndex((_, slot) => !moves.some((move) => move.slot === slot))), 'done');
    expect(played.orders).toHaveLength(begun + 1);
    expect((await admin.call('POST', `/v1/plans/${id}/pause`)).json.code).toBe('plan_state');
    expect((await admin.call('POST', `/v1/plans/${id}/resume`)).json.state).toBe('running');
    await untilPlan(id, 'done');
    expect((await admin.call('GET', `/v1/plans/${id}`)).json.progress.done).toBe(moves.length);
    expect((await admin.call('POST', `/v1/plans/${id}/resume`)).json.code).toBe('plan_state');
  });

  test('that is aborted turns back what is open; what has not begun ends at once', async () => {
    const played = playMover({ gated: true });
    startInstance('one', played);
    const { id, moves } = await preview({ changes: [{ shard: 'b', state: 'draining' }] });
    await admin.call('POST', `/v1/plans/${id}/start`);
    await until('movers are at work', () => played.orders.length === 2);
    expect((await admin.call('POST', `/v1/plans/${id}/abort`)).json.state).toBe('aborting');
    await untilPlan(id, 'aborted');
    expect((await admin.call('GET', `/v1/plans/${id}`)).json.progress).toMatchObject({ moves: moves.length, done: 0, aborted: moves.length });
    expect(played.orders).toHaveLength(2);
    expect((await admin.call('GET', '/v1/topology')).json.epoch).toBe(1);
    expect((await admin.call('POST', `/v1/plans/${id}/abort`)).json.code).toBe('plan_state');
    const dropped = await preview();
    expect((await admin.call('POST', `/v1/plans/${dropped.id}/abort`)).json.state).toBe('aborted');
  });

  test('that has ended is reversed: its moves the other way, its members as they were', async () => {
    startInstance('one', playMover());
    const drained = await admin.call('POST', '/v1/shards/b/drain');
    expect(drained.status).toBe(202);
    const { id } = drained.json;
    expect((await admin.call('POST', '/v1/plans', { reverse_of: id })).json.code).toBe('plan_state');
    await untilPlan(String(id), 'done');
    expect((await admin.call('GET', '/v1/shards')).json.shards).toMatchObject([{ shard: 'a', slots: SLOTS }, { shard: 'b', state: 'draining', slots: 0 }]);
    const back = await preview({ reverse_of: id });
    expect(back).toMatchObject({ reverse_of: id, changes: [{ shard: 'b', state: 'active', weight: 1 }] });
    expect(back.moves.map(({ slot, source, target }) => ({ slot, source, target }))).toEqual(slotsOn(first, B).map((slot) => ({ slot, source: 'a', target: 'b' })));
    await admin.call('POST', `/v1/plans/${back.id}/start`);
    await untilPlan(back.id, 'done');
    const topology = (await admin.call('GET', '/v1/topology')).json;
    expect(topology.owners).toEqual(first.owners);
    expect((await admin.call('GET', '/v1/shards')).json.shards[1]).toMatchObject({ shard: 'b', state: 'active' });
    expect((await admin.call('POST', '/v1/plans', { reverse_of: '77' })).json.code).toBe('unknown_plan');
  });

  test('whose shard got a part of its slots does not make it active while more are on their way', async () => {
    const token = await takeOver('one');
    await byHand(slotsOn(first, A)[0]!);
    await control.query({ text: `update member set state = 'joining' where shard = 'b'` });
    expect(await underLease(control, token, activateMembers)).toEqual([]);
    await control.query({ text: `update move set state = 'done'` });
    expect(await underLease(control, token, activateMembers)).toEqual(['b']);
  });

  test('to empty a shard that is empty ends at once, and the shard can leave', async () => {
    startInstance('one', playMover());
    expect((await admin.call('POST', '/v1/shards', { shard: 'c' })).json).toMatchObject({ shard: 'c', state: 'joining', slots: 0 });
    const { id } = (await admin.call('POST', '/v1/shards/c/drain')).json;
    await untilPlan(String(id), 'done');
    expect((await admin.call('DELETE', '/v1/shards/c')).status).toBe(204);
    expect((await admin.call('GET', '/v1/shards')).json.shards.map(({ shard }) => shard)).toEqual(['a', 'b']);
    // It may come back, with what its database still holds.
    expect((await admin.call('POST', '/v1/shards', { shard: 'c', weight: 4 })).json).toMatchObject({ state: 'joining', weight: 4 });
  });
});

describe('a move', () => {
  test('by hand is driven to its end, with what its mover tells', async () => {
    const one = startInstance('one', playMover());
    const id = await byHand(3);
    await untilMove(id, 'done');
    expect((await admin.call('GET', `/v1/moves/${id}`)).json).toMatchObject({ id, slot: 3, phase: 'done', paused: false, progress: { rows: 10, bytes: 5_000_000, rounds: 1, stall_ms: 42 } });
    expect(one.announced.at(-1)?.epoch).toBe(2);
    expect(await audited()).toEqual(expect.arrayContaining([`admin move.request move ${id}`, `one move.start move ${id}`, `one move.done move ${id}`]));
  });

  test('that is paused rests, and goes on when it is resumed', async () => {
    const played = playMover({ gated: true });
    startInstance('one', played);
    const id = await byHand(3);
    await untilMove(id, 'running');
    expect((await admin.call('POST', `/v1/moves/${id}/pause`)).json).toMatchObject({ id, paused: true });
    await until('its mover has let go', () => played.ends.length === 1);
    played.openGate();
    await untilMove(await byHand(4), 'done');
    expect(played.ends).toEqual([`${id} paused`, expect.stringContaining('done')]);
    expect(await moveState(id)).toBe('running');
    expect((await admin.call('POST', `/v1/moves/${id}/resume`)).json).toMatchObject({ id, paused: false });
    await untilMove(id, 'done');
    expect((await admin.call('POST', `/v1/moves/${id}/pause`)).json.code).toBe('move_state');
    expect((await admin.call('POST', `/v1/moves/${id}/resume`)).json.code).toBe('move_state');
    expect((await admin.call('POST', `/v1/moves/${id}/abort`)).json.code).toBe('move_state');
  });

  test('that is aborted is undone by its mover; before it began it ends at once; past its activation it goes on', async () => {
    const unled = await byHand(1);
    expect((await admin.call('POST', `/v1/moves/${unled}/abort`)).json).toMatchObject({ state: 'aborted', phase: 'aborted' });
    const played = playMover({ gated: true });
    startInstance('one', played);
    const id = await byHand(3);
    await untilMove(id, 'running');
    expect((await admin.call('POST', `/v1/moves/${id}/abort`)).json.state).toBe('aborting');
    await untilMove(id, 'aborted');
    expect((await admin.call('GET', '/v1/topology')).json.epoch).toBe(1);
    const late = await byHand(3);
    await until('its mover has reported', async () => (await control.query({ text: `select 1 from move where id = ${late} and phase = 'copying'` })).length === 1);
    await control.query({ text: `update move set phase = 'purging' where id = ${late}` });
    const before = await contents();
    expect((await admin.call('POST', `/v1/moves/${late}/abort`)).json.code).toBe('move_state');
    expect((await contents())['audit']).toEqual(before['audit']);
  });

  test('whose copy is not equal is turned back, and keeps why', async () => {
    const played = playMover({
      act: async ({ order, wish }) => {
        if ((await wish()) === 'abort') return 'aborted';
        throw new VerificationFailed(order, 'table account, all keys: a has 3 rows, b has 2');
      },
    });
    startInstance('one', played);
    const id = await byHand(3);
    await untilMove(id, 'aborted');
    const { json } = await admin.call('GET', `/v1/moves/${id}`);
    expect(json.error).toContain('table account, all keys');
    expect((await admin.call('GET', '/v1/topology')).json.epoch).toBe(1);
    expect(await audited()).toContain(`one move.failed move ${id}`);
  });

  test('that its mover gives up says why, is tried again, and holds no other move up', async () => {
    let attempts = 0;
    const played = playMover({
      act: async ({ order }) => {
        if (order.slot === 3 && ++attempts === 1) throw new Error('the slot is in no state to move');
        return undefined;
      },
    });
    startInstance('one', played);
    const [stuck, other] = [await byHand(3), await byHand(4)];
    await until('it says why', async () => String((await admin.call('GET', `/v1/moves/${stuck}`)).json.error).includes('in no state to move'));
    await untilMove(other, 'done');
    await untilMove(stuck, 'done');
    expect((await admin.call('GET', `/v1/moves/${stuck}`)).json.error).toBeUndefined();
  });

  test('whose shard does not answer gives its place to others, and is no failure to be told', async () => {
    const tried = new Set<string>();
    const played = playMover({
      act: async ({ order }) => {
        if (order.slot > 5) return undefined;
        tried.add(String(order.id));
        throw new PgError('connection refused', { kind: 'infrastructure', database: 'b', statement: 'claim' });
      },
    });
    startInstance('one', played);
    // As many as may move at once.
    const down = [await byHand(3), await byHand(4), await byHand(5)];
    await until('they were tried', () => down.every((id) => tried.has(id)));
    await untilMove(await byHand(6), 'done');
    for (const id of down) {
      const { state, error } = (await admin.call('GET', `/v1/moves/${id}`)).json;
      expect({ state, error }).toEqual({ state: 'running', error: undefined });
    }
  });

  test('whose epoch is committed without an answer is announced all the same', async () => {
    const played = playMover({ gated: true });
    const one = startInstance('one', played);
    await leads(one);
    await until('the first epoch is announced', () => one.announced.length > 0);
    await control.transaction((tx) => proposeTopology(tx, { ...first, epoch: 2 as Epoch }, { author: 'test', reason: 'the answer was lost' }));
    await until('the second is, too', () => one.announced.at(-1)?.epoch === 2);
    expect(one.announced.map(({ epoch }) => epoch)).toEqual([1, 2]);
  });

  test('that a leader left is taken up by the next, also when it is paused: it may stand past its fence', async () => {
    const left = playMover({ gated: true });
    const one = startInstance('one', left);
    const id = await byHand(3);
    await untilMove(id, 'running');
    await one.leadership.stop();
    await admin.call('POST', `/v1/moves/${id}/pause`);
    const planned = await byHand(4);
    await admin.call('POST', `/v1/moves/${planned}/pause`);
    const seen: string[] = [];
    const next = playMover({
      act: async (input) => {
        seen.push(`${input.order.id} ${await input.wish()} ${input.token}`);
        return undefined;
      },
    });
    startInstance('two', next);
    await until('it was looked at', () => seen.length > 0);
    await admin.call('POST', `/v1/moves/${id}/resume`);
    await untilMove(id, 'done');
    expect(seen).toEqual([`${id} pause 2`, `${id} forward 2`]);
    expect(await moveState(planned)).toBe('planned');
  });

  test('that was paused, aborted, or whose plan was paused since it was picked, does not begin; one that has ended does not change', async () => {
    const token = await takeOver('one');
    const [paused, aborted, planned] = [await byHand(0), await byHand(1), await byHand(2)];
    await admin.call('POST', `/v1/moves/${paused}/pause`);
    await admin.call('POST', `/v1/moves/${aborted}/abort`);
    await control.query({ text: `insert into plan (state, base_epoch, by, content, created_by) values ('paused', 1, 'slots', '{}', 'test')` });
    await control.query({ text: 'update move set plan = 1 where id = $1', values: [planned] });
    const before = await contents();
    for (const id of [paused, aborted, planned].map(BigInt)) expect(await underLease(control, token, (tx) => beginMove(tx, id))).toBe(false);
    const ended = BigInt(aborted);
    expect(await underLease(control, token, (tx) => endMove(tx, { id: ended, as: 'done' }))).toBe(false);
    expect(await underLease(control, token, (tx) => turnBack(tx, { id: ended, error: 'late' }))).toBe(false);
    await underLease(control, token, (tx) => noteProgress(tx, { id: ended, phase: 'copying', progress: { rows: 1 } }));
    await underLease(control, token, (tx) => noteError(tx, { id: ended, error: 'late' }));
    expect(await contents()).toEqual(before);
  });

  test('R3 of a slot that moves is refused, however many ask at once', async () => {
    const other = await serve();
    const target = first.owners[5] === A ? B : A;
    const replies = await Promise.all([admin, other, admin, other].map((instance) => instance.call('POST', '/v1/moves', { slot: 5, target })));
    expect(replies.map(({ status }) => status).sort()).toEqual([202, 409, 409, 409]);
    expect(replies.filter(({ status }) => status === 409).every(({ json }) => json.code === 'slot_moving')).toBe(true);
    expect((await admin.call('GET', '/v1/moves?open=true')).json.moves).toHaveLength(1);
  });

  test('is verified by comparing every row, while there are two copies', async () => {
    const played = playMover({ gated: true });
    const id = await byHand(3);
    expect((await admin.call('POST', `/v1/moves/${id}/verify`)).json.code).toBe('move_state');
    startInstance('one', played);
    await untilMove(id, 'running');
    expect((await admin.call('POST', `/v1/moves/${id}/verify`)).json).toEqual({ verified: true, tables: [{ table: 'account', rows: 3, differences: [] }] });
    expect((await admin.call('POST', '/v1/moves/77/verify')).json.code).toBe('unknown_move');
  });

  test('is compared once at a time, and no longer than the caller waits', async () => {
    let ended: unknown;
    const begun = Promise.withResolvers<void>();
    const compare: Parameters<typeof routesOf>[0]['verify'] = async ({ order, database }) => {
      begun.resolve();
      try {
        for (;;) await database(order.source).transaction((tx) => tx.query({ text: 'select pg_sleep(0.02)' }));
      } catch (error) {
        ended = error;
        throw error;
      }
    };
    const comparing = await serve({ verify: compare });
    startInstance('one', playMover({ gated: true }));
    const id = await byHand(3);
    await untilMove(id, 'running');
    const caller = new AbortController();
    const asked = comparing.raw(`/v1/moves/${id}/verify`, { method: 'POST', signal: caller.signal });
    asked.catch(() => undefined);
    await begun.promise;
    const second = await comparing.call('POST', `/v1/moves/${id}/verify`);
    expect({ status: second.status, code: second.json.code }).toEqual({ status: 429, code: 'too_many_requests' });
    expect(Number(second.headers.get('retry-after'))).toBeGreaterThan(0);
    caller.abort();
    await until('the comparison ends', () => ended !== undefined);
    expect(String(ended)).toContain('does not wait any more');
  });
});

describe('a bad request changes nothing', () => {
  interface Bad {
    readonly request: readonly [method: string, path: string, body?: unknown];
    readonly status: number;
    readonly code: string;
    readonly given?: () => Promise<unknown>;
  }
  const another = { clusterId: '00000000-0000-4000-8000-000000000000', slots: SLOTS };
  const foreign = (): Promise<unknown> => withDatabase('shard_c', (database) => prepareShard({ database, identity: { ...another, shard: 'c' as ShardId }, log }));
  const newer = (): Promise<unknown> =>
    withDatabase('shard_c', async (database) => {
      await prepareShard({ database, identity: { clusterId: cluster.id, shard: 'c' as ShardId, slots: SLOTS }, log });
      await database.query({ text: `insert into migration (id, checksum) values ('core-9001', 'x')` });
    });
  const changedMigration = (): Promise<unknown> =>
    withDatabase('shard_c', async (database) => {
      await prepareShard({ database, identity: { clusterId: cluster.id, shard: 'c' as ShardId, slots: SLOTS }, log });
      await database.query({ text: `update migration set checksum = 'x' where id = 'core-0001'` });
    });
  const join = (shard: string) => ['POST', '/v1/shards', { shard }] as const;

  const bad: Record<string, Bad> = {
    'a shard without an address': { request: join('d'), status: 404, code: 'unknown_shard' },
    'a shard that is a member': { request: join('a'), status: 409, code: 'shard_exists' },
    "a shard whose database holds another cluster's rows": { request: join('c'), status: 409, code: 'foreign_shard', given: foreign },
    'a shard whose database is another shard': { request: join('c'), status: 409, code: 'foreign_shard', given: async () => writeShards({ a: 'shard_a', b: 'shard_b', c: 'shard_b' }) },
    'a shard whose schema is of a newer version': { request: join('c'), status: 409, code: 'wrong_schema', given: newer },
    'a shard whose schema is not what its name says': { request: join('c'), status: 409, code: 'wrong_schema', given: changedMigration },
    'a shard whose database is the control database': { request: join('c'), status: 409, code: 'wrong_schema', given: async () => writeShards({ a: 'shard_a', b: 'shard_b', c: 'control' }) },
    'a shard whose database holds something else': { request: join('c'), status: 409, code: 'wrong_schema', given: () => withDatabase('shard_c', (database) => database.query({ text: 'create table invoice (id int)' })) },
    'a shard that does not answer': { request: join('c'), status: 503, code: 'shard_unavailable', given: async () => writeShards({ a: 'shard_a', b: 'shard_b', c: 'postgres://nobody@127.0.0.1:1/none' }) },
    'a shard id that is none': { request: join('C c'), status: 400, code: 'invalid_body' },
    'an address in the body': { request: ['POST', '/v1/shards', { shard: 'c', url: 'postgres://x' }], status: 400, code: 'invalid_body' },
    'a weight of nothing': { request: ['POST', '/v1/shards', { shard: 'c', weight: 0 }], status: 400, code: 'invalid_body' },
    'a change of no member': { request: ['PATCH', '/v1/shards/c', { weight: 2 }], status: 404, code: 'unknown_shard' },
    'a change of nothing': { request: ['PATCH', '/v1/shards/a', {}], status: 400, code: 'invalid_body' },
    'a state that nobody may wish for': { request: ['PATCH', '/v1/shards/a', { state: 'gone' }], status: 400, code: 'invalid_body' },
    'the removal of no member': { request: ['DELETE', '/v1/shards/c'], status: 404, code: 'unknown_shard' },
    'the removal of a shard that owns slots': { request: ['DELETE', '/v1/shards/a'], status: 409, code: 'shard_owns_slots' },
    'the removal of a shard with open moves': { request: ['DELETE', '/v1/shards/b'], status: 409, code: 'moves_open', given: () => byHand(slotsOn(first, A)[0]!) },
    'the removal of the last one': { request: ['DELETE', '/v1/shards/a'], status: 409, code: 'last_shard', given: () => admin.call('PATCH', '/v1/shards/b', { state: 'draining' }) },
    'the drain of the last one': { request: ['POST', '/v1/shards/a/drain'], status: 409, code: 'last_shard', given: () => admin.call('PATCH', '/v1/shards/b', { state: 'draining' }) },
    'the draining state of the last one': { request: ['PATCH', '/v1/shards/a', { state: 'draining' }], status: 409, code: 'last_shard', given: () => admin.call('PATCH', '/v1/shards/b', { state: 'draining' }) },
    'the drain of no member': { request: ['POST', '/v1/shards/c/drain'], status: 404, code: 'unknown_shard' },
    'the drain of a shard whose slots move': { request: ['POST', '/v1/shards/b/drain'], status: 409, code: 'slot_moving', given: () => byHand(slotsOn(first, A)[0]!) },
    'the start of a plan with a shard without an address': { request: ['POST', '/v1/plans/1/start'], status: 404, code: 'unknown_shard', given: () => admin.call('POST', '/v1/plans', { changes: [{ shard: 'd' }] }) },
    "the start of a plan with another cluster's shard": { request: ['POST', '/v1/plans/1/start'], status: 409, code: 'foreign_shard', given: () => foreign().then(() => admin.call('POST', '/v1/plans', { changes: [{ shard: 'c' }] })) },
    'a plan that drains no member': { request: ['POST', '/v1/plans', { changes: [{ shard: 'd', state: 'draining' }] }], status: 404, code: 'unknown_shard' },
    'a shard while the shards file is half written': { request: join('c'), status: 503, code: 'shard_unavailable', given: async () => writeFileSync(shardsFile, '{"a":"postgres://u:secret@h/') },
    'the draining state of a shard whose slots come': { request: ['PATCH', '/v1/shards/b', { state: 'draining' }], status: 409, code: 'slot_moving', given: () => byHand(slotsOn(first, A)[0]!) },
    'a plan that drains everybody': { request: ['POST', '/v1/plans', { changes: [{ shard: 'a', state: 'draining' }, { shard: 'b', state: 'draining' }] }], status: 409, code: 'last_shard' },
    'a plan that names a shard twice': { request: ['POST', '/v1/plans', { changes: [{ shard: 'a', weight: 2 }, { shard: 'a', weight: 3 }] }], status: 400, code: 'invalid_body' },
    'a plan by something else': { request: ['POST', '/v1/plans', { by: 'luck' }], status: 400, code: 'invalid_body' },
    'a reversal with changes': { request: ['POST', '/v1/plans', { reverse_of: '1', changes: [{ shard: 'a', weight: 2 }] }], status: 400, code: 'invalid_body' },
    'the start of no plan': { request: ['POST', '/v1/plans/9/start'], status: 404, code: 'unknown_plan' },
    'a plan id that is none': { request: ['POST', '/v1/plans/x/start'], status: 400, code: 'invalid_parameter' },
    'a move to no member': { request: ['POST', '/v1/moves', { slot: 1, target: 'c' }], status: 404, code: 'unknown_shard' },
    'a move to where the slot is': { request: ['POST', '/v1/moves', { slot: 0, target: 'owner' }], status: 409, code: 'nothing_to_move' },
    'a move of no slot': { request: ['POST', '/v1/moves', { slot: SLOTS, target: 'a' }], status: 400, code: 'invalid_body' },
    'a move of half a slot': { request: ['POST', '/v1/moves', { slot: 1.5, target: 'a' }], status: 400, code: 'invalid_body' },
    'a move of a slot that moves': { request: ['POST', '/v1/moves', { slot: 5, target: 'other' }], status: 409, code: 'slot_moving', given: () => byHand(5) },
    'a move to a shard that is emptied': { request: ['POST', '/v1/moves', { slot: 5, target: 'other' }], status: 409, code: 'shard_draining', given: () => admin.call('PATCH', `/v1/shards/${first.owners[5] === A ? 'b' : 'a'}`, { state: 'draining' }) },
    'the abort of no move': { request: ['POST', '/v1/moves/9/abort'], status: 404, code: 'unknown_move' },
    'a body with more than is asked for': { request: ['POST', '/v1/plans/9/start', { force: true }], status: 400, code: 'invalid_body' },
    'a query that is not known': { request: ['GET', '/v1/moves?color=red'], status: 400, code: 'invalid_parameter' },
    'a path that is not known': { request: ['GET', '/v1/slots'], status: 404, code: 'not_found' },
    'a method that is not known': { request: ['PUT', '/v1/shards', {}], status: 405, code: 'method_not_allowed' },
  };

  test.each(Object.entries(bad))('%s', async (_what, { request: [method, path, body], status, code, given }) => {
    await given?.();
    const before = [await contents(), await tablesOf('shard_c'), await tablesOf('shard_b')];
    const slot = (body as { slot?: number } | undefined)?.slot ?? 0;
    const owner = first.owners[slot];
    const named = JSON.parse(JSON.stringify(body ?? null).replace('"owner"', JSON.stringify(owner ?? 'a')).replace('"other"', JSON.stringify(owner === A ? B : A))) as unknown;
    const reply = await admin.call(method, path, named ?? undefined);
    expect({ status: reply.status, code: reply.json.code }).toEqual({ status, code });
    expect(reply.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    expect(reply.json).toMatchObject({ type: `urn:millrace:problem:${code}`, title: expect.any(String), action: expect.any(String) });
    expect(reply.json.detail ?? '').not.toMatch(/secret|postgres:\/\/|\n\s+at /);
    if (status === 503) expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0);
    expect([await contents(), await tablesOf('shard_c'), await tablesOf('shard_b')]).toEqual(before);
  });

  test('a caller without the token, with another, or with a body that is none', async () => {
    const before = await contents();
    const post = (init: RequestInit) => admin.raw('/v1/shards', { method: 'POST', ...init });
    const json = { 'content-type': 'application/json' };
    expect((await post({ headers: { authorization: 'Bearer wrong' } })).json.code).toBe('unauthorized');
    expect((await post({ headers: { authorization: '' } })).status).toBe(401);
    expect((await post({ headers: json, body: '{"shard":' })).json.code).toBe('malformed_json');
    expect((await post({ headers: json, body: Buffer.from([0x22, 0xff, 0x22]) })).json.code).toBe('malformed_json');
    expect((await post({ headers: json, body: `{"shard":"c","__proto__":{"weight":5}}` })).json.code).toBe('invalid_body');
    expect((await post({ headers: json, body: JSON.stringify({ shard: 'x'.repeat(300_000) }) })).json.code).toBe('body_too_large');
    expect((await post({ headers: { 'content-type': 'text/plain' }, body: '{"shard":"c"}' })).json.code).toBe('unsupported_media_type');
    expect((await admin.raw('/v1/shards/%ff', { method: 'DELETE' })).json.code).toBe('invalid_parameter');
    expect(await contents()).toEqual(before);
  });

  test('a database of another cluster is not touched before it is refused', async () => {
    await withDatabase('shard_c', async (database) => {
      await database.query({ text: 'create table shard_identity (cluster_id uuid, shard_id text, slots int)' });
      await database.query({ text: `insert into shard_identity values ('00000000-0000-4000-8000-000000000000', 'c', 8)` });
      const before = await tablesOf('shard_c');
      await expect(prepareShard({ database, identity: { clusterId: cluster.id, shard: 'c' as ShardId, slots: SLOTS }, log })).rejects.toThrow(ForeignShard);
      expect(await tablesOf('shard_c')).toEqual(before);
    });
  });

  test('a member that a newer version has migrated is left alone when an older one starts', async () => {
    await shards.get(A).query({ text: `insert into migration (id, checksum) values ('core-9001', 'x')` });
    await prepareShard({ database: shards.get(A), identity: { clusterId: cluster.id, shard: A, slots: SLOTS }, log });
  });

  test('a corrected address holds at the next attempt', async () => {
    writeShards({ a: 'shard_a', b: 'shard_b', c: 'shard_b' });
    expect((await admin.call('POST', '/v1/shards', { shard: 'c' })).json.code).toBe('foreign_shard');
    writeShards({ a: 'shard_a', b: 'shard_b', c: 'shard_c' });
    expect((await admin.call('POST', '/v1/shards', { shard: 'c' })).status).toBe(201);
  });

  test('while the control database is down the answer is a 503 with Retry-After; the topology is that which is known', async () => {
    const down = createDatabase({ ...CONTROL_POOL, applicationName: 'test', name: 'control', url: 'postgres://nobody@127.0.0.1:1/none', log });
    cleanups.push(() => down.end());
    const deaf = await serve({ control: down });
    const reply = await deaf.call('POST', '/v1/moves', { slot: 1, target: 'a' });
    expect(reply).toMatchObject({ status: 503, json: { code: 'control_unavailable' } });
    expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await deaf.call('GET', '/v1/topology')).json).toEqual({ epoch: 1, slots: SLOTS, owners: [...first.owners] });
  });

  test('an error of ours is told without its stack', async () => {
    const broken = await serve({ statistics: () => Promise.reject(new Error('secret of the house')) });
    const reply = await broken.call('POST', '/v1/plans', {});
    expect(reply).toMatchObject({ status: 500, json: { code: 'internal' } });
    expect(JSON.stringify(reply.json)).not.toContain('secret');
  });
});

test('the description names every route, its bodies and its problems, and needs no token', async () => {
  const { json, status } = await admin.raw('/openapi.json', { headers: { authorization: '' } });
  expect(status).toBe(200);
  expect(json.openapi).toMatch(/^3\.1\./);
  for (const [path, methods] of Object.entries({
    '/v1/topology': ['get'], '/v1/topology/history': ['get'], '/v1/leader': ['get'], '/v1/audit': ['get'], '/v1/shards': ['get', 'post'], '/v1/shards/{shard}': ['patch', 'delete'],
    '/v1/shards/{shard}/drain': ['post'], '/v1/plans': ['get', 'post'], '/v1/plans/{id}': ['get'], '/v1/plans/{id}/start': ['post'], '/v1/plans/{id}/pause': ['post'],
    '/v1/plans/{id}/resume': ['post'], '/v1/plans/{id}/abort': ['post'], '/v1/moves': ['get', 'post'], '/v1/moves/{id}': ['get'], '/v1/moves/{id}/pause': ['post'],
    '/v1/moves/{id}/resume': ['post'], '/v1/moves/{id}/abort': ['post'], '/v1/moves/{id}/verify': ['post'],
  })) {
    expect(Object.keys(json.paths[path] ?? {}).sort()).toEqual(methods.sort());
  }
  const operations = Object.values(json.paths).flatMap((path) => Object.values(path).map(({ operationId }) => operationId));
  expect(new Set(operations).size).toBe(operations.length);
  expect(json.paths['/v1/moves']?.post?.requestBody.content['application/json']?.schema.required).toEqual(['slot', 'target']);
  expect(json.paths['/v1/moves']?.post?.responses['409']?.description).toContain('slot_moving');
  expect(json.paths['/v1/plans/{id}']?.get?.parameters).toMatchObject([{ name: 'id', in: 'path', required: true }]);
});

test('who leads can be asked for', async () => {
  expect((await admin.call('GET', '/v1/leader')).json).toEqual({});
  await acquireLease(control, { holder: 'one', ttlMs: 60_000 });
  expect((await admin.call('GET', '/v1/leader')).json).toMatchObject({ holder: 'one', token: '1' });
});
