/** Reads through the gateway's routes while slots move between two real shards. Writer and mover are played by the test. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { startPostgres, type Postgres } from '@millrace/local-cluster';
import { createDatabase, type Database, type Tx } from '@millrace/postgres';
import { createTopology, slotOf, type Topology } from '@millrace/ring';
import { createLog, createRegistry } from '@millrace/runtime';
import { prepareShard, seedSlots } from '@millrace/slot-processor';
import { until } from '@millrace/testkit';
import { createShards, type Shards } from '@millrace/topology';
import { digestOf, encodeReceipt, formatAmount, routingKey, type Epoch, type Offset, type ShardId, type Slot, type Tenant } from '@millrace/write';
import express from 'express';
import { createBodyReader } from '../../services/ingest-gateway/src/http/body.ts';
import { createDeadlines } from '../../services/ingest-gateway/src/http/deadlines.ts';
import { limits as realLimits, type Limits } from '../../services/ingest-gateway/src/limits.ts';
import { createMetrics } from '../../services/ingest-gateway/src/metrics.ts';
import { createFollowSlot } from '../../services/ingest-gateway/src/read/follow.ts';
import { createInFlightReads } from '../../services/ingest-gateway/src/read/in-flight-reads.ts';
import { createOutcomes } from '../../services/ingest-gateway/src/read/outcomes.ts';
import { createStatusBatches } from '../../services/ingest-gateway/src/read/status-batches.ts';
import { createWaits } from '../../services/ingest-gateway/src/read/waits.ts';
import { createWatch, type Watch } from '../../services/ingest-gateway/src/read/watch.ts';
import { accountRoutes } from '../../services/ingest-gateway/src/route/accounts.ts';
import { failures } from '../../services/ingest-gateway/src/route/fallback.ts';
import { createReads } from '../../services/ingest-gateway/src/route/reads.ts';
import { statusRoutes } from '../../services/ingest-gateway/src/route/statuses.ts';
import { createInFlight } from '../../services/ingest-gateway/src/write/in-flight.ts';

const DEMO = 'demo' as Tenant;
const [A, B, C] = ['a', 'b', 'c'] as ShardId[] as [ShardId, ShardId, ShardId];
const SLOTS = 256;
const POOL = { applicationName: 'test', poolMax: 6, statementTimeoutMs: 30_000, idleInTransactionTimeoutMs: 30_000, connectTimeoutMs: 5_000 };
const log = createLog({ name: 'test', level: 'silent' });
const deadlines = createDeadlines(20);
const dir = mkdtempSync(join(tmpdir(), 'millrace-reads-'));
const shardsFile = join(dir, 'shards.json');

let postgres: Postgres;
let shards: Shards;
const servers: Server[] = [];
/** With so much time to follow a move that no test is decided by how fast the machine is. */
let patient: Door;
/** With the limits as they are. */
let real: Door;
/** What the gateway knows, and what it hears when it asks. */
let known: Topology;
let newest: Topology;

interface Door {
  readonly watch: Watch;
  get(path: string, headers?: Readonly<Record<string, string>>): Promise<Reply>;
}

interface Reply {
  readonly status: number;
  readonly json: Readonly<Record<string, unknown>>;
}

const owners = (owner: ShardId): Topology => createTopology({ epoch: 1 as Epoch, owners: Array<ShardId>(SLOTS).fill(owner) });
const addressOf = (shard: ShardId): string => Object.assign(new URL(postgres.url), { pathname: `/shard_${shard}` }).href;

function nameShards(ids: readonly ShardId[]): void {
  writeFileSync(shardsFile, JSON.stringify(Object.fromEntries(ids.map((id) => [id, addressOf(id)]))));
}

beforeAll(async () => {
  postgres = await startPostgres({ dir: join(dir, 'postgres'), durable: false });
  const root = createDatabase({ ...POOL, name: 'root', url: postgres.url, log });
  for (const id of [A, B, C]) await root.query({ text: `create database shard_${id}` });
  await root.end();
  nameShards([A, B]);
  shards = createShards({ file: shardsFile, log, settings: POOL });
  for (const shard of [A, B]) await prepareShard({ database: shards.get(shard), identity: { clusterId: '00000000-0000-4000-8000-000000000000', shard, slots: SLOTS }, log });
  await seedSlots(shards.get(A), { epoch: 1 as Epoch, slots: Array.from({ length: SLOTS }, (_, slot) => slot as Slot) });
  real = await serve(realLimits);
  patient = await serve({ ...realLimits, followMoveMs: 30_000, afterWaitMs: 30_000 });
});

afterAll(async () => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  deadlines.stop();
  await shards?.end();
  await postgres?.stop();
  rmSync(dir, { recursive: true, force: true });
});

beforeEach(() => {
  [known, newest] = [owners(A), owners(A)];
});

/** The gateway's reads behind HTTP, without what needs Kafka. */
async function serve(limits: Limits): Promise<Door> {
  const topology = {
    current: () => known,
    refresh: async () => {
      known = newest;
      return known;
    },
  };
  const database = (shard: ShardId): Database => shards.get(shard);
  const watch = createWatch({ database, deadlines, limits, log });
  const follow = createFollowSlot({ topology, database, watch, waits: createWaits(limits), log });
  const outcomes = createOutcomes({ follow, batches: createStatusBatches(limits.statusBatchMax), limits, log });
  const metrics = createMetrics(createRegistry());
  const inFlight = createInFlightReads(limits);
  const keys = { tenantOf: () => DEMO, reload: () => undefined, stop: () => undefined };
  const parts = { keys, outcomes, inFlight, slots: SLOTS, limits, metrics, closing: () => [] };
  const bodies = createBodyReader({ limits, deadlines, inFlight: createInFlight(limits) });
  const app = express().use(statusRoutes(parts)).use(accountRoutes(createReads({ ...parts, follow }))).use(failures({ bodies, metrics, log }));
  const server = createServer(app).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    watch,
    async get(path, headers = {}) {
      const response = await fetch(url + path, { headers });
      return { status: response.status, json: (await response.json()) as Reply['json'] };
    },
  };
}

const get: Door['get'] = (path, headers) => patient.get(path, headers);

let nextAccount = 0;
const taken = new Set<number>();

/** An account in a slot of its own. */
function newAccount(): { readonly account: string; readonly key: ReturnType<typeof routingKey>; readonly slot: Slot } {
  for (;;) {
    nextAccount += 1;
    const account = `acc-${nextAccount}`;
    const key = routingKey(DEMO, account);
    const slot = slotOf(key, SLOTS);
    if (taken.has(slot)) continue;
    taken.add(slot);
    return { account, key, slot };
  }
}

type Account = ReturnType<typeof newAccount>;

/** Plays the writer: the balance becomes `units` at the next offset. Undefined where the shard does not hold the slot. */
async function write(shard: ShardId, { key, slot }: Account, units: bigint): Promise<string | undefined> {
  return shards.get(shard).transaction(async (tx) => {
    const [position] = await tx.query<{ next: Offset }>({ text: `select next_offset as next from position where stream = 'writes' and slot = $1 for update`, values: [slot] });
    const [row] = await tx.query<{ state: string }>({ text: 'select state from slot where slot = $1', values: [slot] });
    if (position === undefined || (row?.state !== 'ACTIVE' && row?.state !== 'MOVING')) return undefined;
    const digest = digestOf(key, `to-${units}`);
    await tx.query({ text: `insert into account (slot, key, currency, balance, held) values ($1, $2, 'GBP', $3, 0) on conflict (slot, key) do update set balance = excluded.balance`, values: [slot, key, units] });
    await tx.query({
      text: `insert into journal (slot, stream, "offset", body_hash, at_ms, digest, outcome, key, type) values ($1, 'writes', $2, 0, 1700000000000, $3, 'applied', $4, 'account.deposit')`,
      values: [slot, position.next, digest, key],
    });
    await tx.query({ text: `update position set next_offset = next_offset + 1 where stream = 'writes' and slot = $1`, values: [slot] });
    return encodeReceipt(DEMO, { slot, offset: position.next, digest });
  });
}

/** The steps of a move, each one transaction, as the mover makes them. */
const move = {
  async prepare(target: ShardId, slot: Slot): Promise<void> {
    await shards.get(target).transaction(async (tx) => {
      await purgeRows(tx, slot);
      await tx.query({ text: `insert into slot (slot, state, epoch) values ($1, 'INCOMING', 2) on conflict (slot) do update set state = 'INCOMING', moved_to = null`, values: [slot] });
      await tx.query({ text: `insert into position (stream, slot) select s, $1 from unnest(array['writes', 'sagas']::stream[]) s on conflict do nothing`, values: [slot] });
    });
  },
  async setState(shard: ShardId, slot: Slot, state: 'MOVING' | 'MOVED' | 'ACTIVE' | 'ABORTED', movedTo: ShardId | null = null): Promise<void> {
    await shards.get(shard).transaction(async (tx) => {
      await tx.query({ text: 'select from position where slot = $1 order by stream for update', values: [slot] });
      await tx.query({ text: 'update slot set state = $2, moved_to = $3 where slot = $1', values: [slot, state, movedTo] });
    });
  },
  /** Rows and positions, in one transaction of the target; `activate` makes it the holder in the same. */
  async copy(source: ShardId, target: ShardId, slot: Slot, activate: boolean): Promise<void> {
    const at = shards.get(source);
    const accounts = await at.query<{ key: string; balance: bigint }>({ text: 'select key, balance from account where slot = $1', values: [slot] });
    const journal = await at.query<{ offset: bigint; digest: string; key: string }>({ text: `select "offset", digest, key from journal where slot = $1`, values: [slot] });
    const [position] = await at.query<{ next: bigint }>({ text: `select next_offset as next from position where stream = 'writes' and slot = $1`, values: [slot] });
    await shards.get(target).transaction(async (tx) => {
      await purgeRows(tx, slot);
      for (const { key, balance } of accounts) await tx.query({ text: `insert into account (slot, key, currency, balance, held) values ($1, $2, 'GBP', $3, 0)`, values: [slot, key, balance] });
      await tx.query({
        text: `insert into journal (slot, stream, "offset", body_hash, at_ms, digest, outcome, key, type)
               select $1, 'writes', o, 0, 1700000000000, d, 'applied', k, 'account.deposit' from unnest($2::bigint[], $3::uuid[], $4::text[]) u(o, d, k)`,
        values: [slot, journal.map(({ offset }) => offset.toString()), journal.map(({ digest }) => digest), journal.map(({ key }) => key)],
      });
      if (!activate) return;
      await tx.query({ text: `update position set next_offset = $2 where stream = 'writes' and slot = $1`, values: [slot, position!.next] });
      await tx.query({ text: `update slot set state = 'ACTIVE' where slot = $1`, values: [slot] });
    });
  },
  async purge(shard: ShardId, slot: Slot): Promise<void> {
    await shards.get(shard).transaction((tx) => purgeRows(tx, slot));
  },
};

async function purgeRows(tx: Tx, slot: Slot): Promise<void> {
  for (const table of ['account', 'journal']) await tx.query({ text: `delete from ${table} where slot = $1`, values: [slot] });
}

const someWait = (waiters: number): Promise<unknown> => until(`${waiters} reads wait`, () => patient.watch.waiters() >= waiters);

const gbp = (units: bigint): string => formatAmount(units, 'GBP');

describe('reads of one slot, at each state of its move', () => {
  test('while it is copied the source answers, whatever the target has of it', async () => {
    const one = newAccount();
    const first = await write(A, one, 100n);
    await move.prepare(B, one.slot);
    await move.copy(A, B, one.slot, false);
    await move.setState(A, one.slot, 'MOVING');
    const second = await write(A, one, 200n);
    expect(await get(`/v1/accounts/${one.account}?after=${second}`)).toMatchObject({ status: 200, json: { balance: '2.00' } });
    expect((await get(`/v1/writes/${first}`)).json).toMatchObject({ status: 'applied' });
    // A topology of before: the slot had been on B, and comes back there.
    known = owners(B);
    expect(await get(`/v1/accounts/${one.account}`)).toMatchObject({ status: 200, json: { balance: '2.00' } });
  });

  test('between fence and activation they wait; then the target answers, though the source still has old rows', async () => {
    const [one, other] = [newAccount(), newAccount()];
    const receipt = await write(A, one, 100n);
    await write(A, other, 700n);
    await move.prepare(B, one.slot);
    await move.setState(A, one.slot, 'MOVING');
    await move.setState(A, one.slot, 'MOVED', B);
    const reading = [get(`/v1/accounts/${one.account}`), get(`/v1/accounts/${one.account}?after=${receipt}`), get(`/v1/writes/${receipt}`), get(`/v1/accounts/nobody-${one.account}`), get(`/v1/accounts/${other.account}`)];
    await someWait(3);
    await move.copy(A, B, one.slot, true);
    await write(B, one, 300n);
    await shards.get(A).query({ text: 'update account set balance = 1 where slot = $1', values: [one.slot] });
    const [plain, after, status, absent, unmoved] = await Promise.all(reading);
    expect(plain!.status).toBe(200);
    expect(['1.00', '3.00']).toContain(plain!.json['balance']);
    expect(['1.00', '3.00']).toContain(after!.json['balance']);
    expect(status!.json).toMatchObject({ status: 'applied' });
    expect(absent!.status).toBe(404);
    expect(unmoved!.json).toMatchObject({ balance: '7.00' });
    expect((await get(`/v1/accounts/${one.account}`)).json).toMatchObject({ balance: '3.00' });
    await move.purge(A, one.slot);
    expect((await get(`/v1/accounts/${one.account}`)).json).toMatchObject({ balance: '3.00' });
    expect((await get(`/v1/writes/${receipt}`)).json).toMatchObject({ status: 'applied' });
  });

  test('an aborted move leads back to the source', async () => {
    const one = newAccount();
    const receipt = await write(A, one, 100n);
    await move.prepare(B, one.slot);
    await move.setState(A, one.slot, 'MOVED', B);
    const reading = get(`/v1/accounts/${one.account}?after=${receipt}`);
    await someWait(1);
    await move.setState(B, one.slot, 'ABORTED');
    await move.setState(A, one.slot, 'ACTIVE');
    expect(await reading).toMatchObject({ status: 200, json: { balance: '1.00' } });
  });

  test('a wait that began at the source ends at the target', async () => {
    const one = newAccount();
    await write(A, one, 100n);
    const later = encodeReceipt(DEMO, { slot: one.slot, offset: 1n as Offset, digest: digestOf(one.key, 'to-200') });
    const waiting = [get(`/v1/accounts/${one.account}?after=${later}`, { prefer: 'wait=20' }), get(`/v1/writes/${later}`, { prefer: 'wait=20' })];
    await someWait(2);
    await move.prepare(B, one.slot);
    await move.setState(A, one.slot, 'MOVED', B);
    await move.copy(A, B, one.slot, true);
    expect(await write(B, one, 200n)).toBe(later);
    const [account, status] = await Promise.all(waiting);
    expect(account).toMatchObject({ status: 200, json: { balance: '2.00' } });
    expect(status).toMatchObject({ status: 200, json: { status: 'applied' } });
  });

  test('statuses asked for together are each told by the shard that holds the slot', async () => {
    const accounts = [newAccount(), newAccount(), newAccount()] as const;
    const [stays, moves, moved] = accounts;
    const receipts = await Promise.all(accounts.map((one) => write(A, one, 100n)));
    await move.prepare(B, moves.slot);
    await move.setState(A, moves.slot, 'MOVING');
    await move.prepare(B, moved.slot);
    await move.setState(A, moved.slot, 'MOVED', B);
    await move.copy(A, B, moved.slot, true);
    await move.purge(A, moved.slot);
    expect(taken).toContain(stays.slot);
    const statuses = await Promise.all(receipts.map((receipt) => get(`/v1/writes/${receipt}`)));
    expect(statuses.map(({ json }) => json['status'])).toEqual(['applied', 'applied', 'applied']);
  });

  test('a statement that began before the fence and runs after the purge finds the slot gone, not the rows', async () => {
    const one = newAccount();
    const receipt = await write(A, one, 100n);
    await move.prepare(B, one.slot);
    await move.copy(A, B, one.slot, true);
    const reading = await shards.get(A).transaction(async (tx) => {
      await tx.query({ text: 'lock table account, journal in access exclusive mode' });
      const replies = [get(`/v1/accounts/${one.account}`), get(`/v1/writes/${receipt}`)];
      await until('both statements stand before their tables', async () => {
        const [waiting] = await shards.get(B).query<{ count: bigint }>({ text: `select count(*) from pg_locks where not granted and locktype = 'relation'` });
        return waiting!.count === 2n;
      });
      await tx.query({ text: `update slot set state = 'MOVED', moved_to = 'b' where slot = $1`, values: [one.slot] });
      await purgeRows(tx, one.slot);
      return replies;
    });
    const [account, status] = await Promise.all(reading);
    expect(account).toMatchObject({ status: 200, json: { balance: '1.00' } });
    expect(status).toMatchObject({ status: 200, json: { status: 'applied' } });
  });

  test('a fence that lasts makes the slot unavailable, not absent', async () => {
    const one = newAccount();
    const receipt = await write(A, one, 100n);
    await move.prepare(B, one.slot);
    await move.setState(A, one.slot, 'MOVED', B);
    const replies = await Promise.all([real.get(`/v1/accounts/${one.account}`), real.get(`/v1/writes/${receipt}`), real.get(`/v1/accounts/${one.account}?after=${receipt}`, { prefer: 'wait=1' })]);
    expect(replies.map(({ status, json }) => [status, json['code']])).toEqual([[503, 'shard_unavailable'], [503, 'shard_unavailable'], [503, 'not_yet_applied']]);
  });

  test('a shard that joined is asked as soon as the shards file names it', async () => {
    const one = newAccount();
    await write(A, one, 100n);
    const joined = createDatabase({ ...POOL, name: 'c', url: addressOf(C), log });
    await prepareShard({ database: joined, identity: { clusterId: '00000000-0000-4000-8000-000000000000', shard: C, slots: SLOTS }, log });
    await joined.end();
    await move.setState(A, one.slot, 'MOVED', C);
    expect(await real.get(`/v1/accounts/${one.account}`)).toMatchObject({ status: 503, json: { code: 'shard_unavailable', detail: 'shard c has no address in the shards file yet' } });
    const reading = get(`/v1/accounts/${one.account}`);
    nameShards([A, B, C]);
    await move.prepare(C, one.slot);
    await move.copy(A, C, one.slot, true);
    expect(await reading).toMatchObject({ status: 200, json: { balance: '1.00' } });
  });
});

test('a slot that moves back and forth under writes: no read is older than what was applied before it began, none is 404 or 503', async () => {
  const MOVES = 24;
  const one = newAccount();
  let holder = A;
  let last = { units: 1n, receipt: await write(A, one, 1n) };
  let isOver = false;
  const wrong: string[] = [];
  let reads = 0;

  async function writer(): Promise<void> {
    while (!isOver) {
      for (const shard of [A, B]) {
        const units = last.units + 1n;
        const receipt = await write(shard, one, units);
        if (receipt !== undefined) last = { units, receipt };
      }
    }
  }

  async function reader(ask: (floor: typeof last) => Promise<string | undefined>): Promise<void> {
    while (!isOver) {
      const floor = last;
      const what = await ask(floor);
      reads += 1;
      if (what !== undefined) wrong.push(`at ${floor.units}: ${what}`);
    }
  }

  const account = async (query: string, floor: typeof last): Promise<string | undefined> => {
    const { status, json } = await get(`/v1/accounts/${one.account}${query}`);
    const isNew = status === 200 && BigInt(String(json['balance']).replace('.', '')) >= floor.units;
    return isNew ? undefined : `${query} ${status} ${JSON.stringify(json)}`;
  };
  const status = async (floor: typeof last): Promise<string | undefined> => {
    const reply = await get(`/v1/writes/${floor.receipt}`);
    return reply.json['status'] === 'applied' ? undefined : `status ${reply.status} ${JSON.stringify(reply.json)}`;
  };

  async function mover(): Promise<void> {
    for (let n = 0; n < MOVES; n += 1) {
      const [source, target] = holder === A ? [A, B] : [B, A];
      await move.prepare(target, one.slot);
      await move.setState(source, one.slot, 'MOVING');
      await move.copy(source, target, one.slot, false);
      await move.setState(source, one.slot, 'MOVED', target);
      if (n % 4 === 3) {
        await move.setState(target, one.slot, 'ABORTED');
        await move.setState(source, one.slot, 'ACTIVE');
        await move.purge(target, one.slot);
        continue;
      }
      await move.copy(source, target, one.slot, true);
      holder = target;
      // The gateway learns of some moves late, and of some never.
      newest = owners(n % 3 === 0 ? source : target);
      await move.purge(source, one.slot);
    }
  }

  await Promise.all([
    writer(),
    mover().finally(() => (isOver = true)),
    reader((floor) => account('', floor)),
    reader((floor) => account(`?after=${floor.receipt}`, floor)),
    reader(status),
    reader(status),
  ]);
  expect(wrong).toEqual([]);
  expect(reads).toBeGreaterThan(MOVES);
  expect((await get(`/v1/accounts/${one.account}`)).json).toMatchObject({ balance: gbp(last.units) });
});
