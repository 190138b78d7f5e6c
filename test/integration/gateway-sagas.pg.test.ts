/** How the gateway follows a write into its saga, on two real shards. Writer, orchestrator and mover are played by the test, row by row. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { followUpKey, type SagaStateName } from '@millrace/domain';
import { startPostgres, type Postgres } from '@millrace/local-cluster';
import { createDatabase, type Database, type Sql, type Tx } from '@millrace/postgres';
import { createTopology, slotOf } from '@millrace/ring';
import { createLog, createRegistry } from '@millrace/runtime';
import { rowOf, type Saga } from '@millrace/saga';
import { prepareShard, seedSlots } from '@millrace/slot-processor';
import { until } from '@millrace/testkit';
import { createShards, type Shards } from '@millrace/topology';
import { decodeReceipt, digestOf, encodeReceipt, routingKey, type Digest, type Epoch, type Offset, type RoutingKey, type ShardId, type Slot, type Stream, type Tenant } from '@millrace/write';
import express from 'express';
import fc from 'fast-check';
import { createBodyReader } from '../../services/ingest-gateway/src/http/body.ts';
import { createDeadlines } from '../../services/ingest-gateway/src/http/deadlines.ts';
import { limits } from '../../services/ingest-gateway/src/limits.ts';
import { createMetrics } from '../../services/ingest-gateway/src/metrics.ts';
import { createFollowSlot } from '../../services/ingest-gateway/src/read/follow.ts';
import { createInFlightReads } from '../../services/ingest-gateway/src/read/in-flight-reads.ts';
import { createOutcomes } from '../../services/ingest-gateway/src/read/outcomes.ts';
import { readOrder } from '../../services/ingest-gateway/src/read/orders.sql.ts';
import { readProgress } from '../../services/ingest-gateway/src/read/positions.sql.ts';
import { createStatusBatches } from '../../services/ingest-gateway/src/read/status-batches.ts';
import { createWaits } from '../../services/ingest-gateway/src/read/waits.ts';
import { createWatch, type Watch } from '../../services/ingest-gateway/src/read/watch.ts';
import { accountRoutes } from '../../services/ingest-gateway/src/route/accounts.ts';
import { failures } from '../../services/ingest-gateway/src/route/fallback.ts';
import { orderRoutes } from '../../services/ingest-gateway/src/route/orders.ts';
import { createReads } from '../../services/ingest-gateway/src/route/reads.ts';
import { statusRoutes } from '../../services/ingest-gateway/src/route/statuses.ts';
import { transferRoutes } from '../../services/ingest-gateway/src/route/transfers.ts';
import { createInFlight } from '../../services/ingest-gateway/src/write/in-flight.ts';

const DEMO = 'demo' as Tenant;
const [A, B] = ['a', 'b'] as ShardId[] as [ShardId, ShardId];
const SLOTS = 256;
const POOL = { applicationName: 'test', poolMax: 6, statementTimeoutMs: 30_000, idleInTransactionTimeoutMs: 30_000, connectTimeoutMs: 5_000 };
const WAIT = { prefer: 'wait=30' };
const AT_MS = 1_700_000_000_000;
const log = createLog({ name: 'test', level: 'silent' });
const deadlines = createDeadlines(20);
const dir = mkdtempSync(join(tmpdir(), 'millrace-sagas-'));

let postgres: Postgres;
let shards: Shards;
let server: Server;
let watch: Watch;
/** Keys whose sagas were waited for. */
const waitedFor: string[] = [];
let tenant = DEMO;

interface Reply {
  readonly status: number;
  readonly json: Readonly<Record<string, unknown>>;
}

beforeAll(async () => {
  postgres = await startPostgres({ dir: join(dir, 'postgres'), durable: false });
  const root = createDatabase({ ...POOL, name: 'root', url: postgres.url, log });
  for (const id of [A, B]) await root.query({ text: `create database shard_${id}` });
  await root.end();
  const file = join(dir, 'shards.json');
  writeFileSync(file, JSON.stringify(Object.fromEntries([A, B].map((id) => [id, Object.assign(new URL(postgres.url), { pathname: `/shard_${id}` }).href]))));
  shards = createShards({ file, log, settings: POOL });
  for (const shard of [A, B]) await prepareShard({ database: shards.get(shard), identity: { clusterId: '00000000-0000-4000-8000-000000000000', shard, slots: SLOTS }, log });
  await seedSlots(shards.get(A), { epoch: 1 as Epoch, slots: Array.from({ length: SLOTS }, (_, slot) => slot as Slot) });
  await serve();
});

afterAll(async () => {
  server?.closeAllConnections();
  server?.close();
  deadlines.stop();
  await shards?.end();
  await postgres?.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** The gateway's reads behind HTTP, without what needs Kafka. */
async function serve(): Promise<void> {
  const known = createTopology({ epoch: 1 as Epoch, owners: Array<ShardId>(SLOTS).fill(A) });
  const topology = { current: () => known, refresh: async () => known };
  const database = (shard: ShardId): Database => shards.get(shard);
  const real = createWatch({ database, deadlines, limits, log });
  const until: Watch['until'] = (shard, slot, wanted, expiresAtMs) => {
    if (wanted.is === 'saga') waitedFor.push(wanted.key);
    return real.until(shard, slot, wanted, expiresAtMs);
  };
  watch = { ...real, until };
  const follow = createFollowSlot({ topology, database, watch, waits: createWaits(limits), log });
  const outcomes = createOutcomes({ follow, batches: createStatusBatches(limits.statusBatchMax), limits, log });
  const metrics = createMetrics(createRegistry());
  const keys = { tenantOf: () => tenant, reload: () => undefined, stop: () => undefined };
  const parts = { keys, outcomes, inFlight: createInFlightReads(limits), slots: SLOTS, limits, metrics, closing: () => [] };
  const reads = createReads({ ...parts, follow });
  const bodies = createBodyReader({ limits, deadlines, inFlight: createInFlight(limits) });
  const app = express().use(statusRoutes(parts), accountRoutes(reads), orderRoutes(reads), transferRoutes(reads)).use(failures({ bodies, metrics, log }));
  server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
}

async function get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Reply> {
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, { headers });
  return { status: response.status, json: (await response.json()) as Reply['json'] };
}

interface Entity {
  readonly id: string;
  readonly key: RoutingKey;
  readonly slot: Slot;
}

let made = 0;
const taken = new Set<number>();

/** In a slot of its own. */
function entity(): Entity {
  for (;;) {
    const id = `id-${made++}`;
    const key = routingKey(DEMO, id);
    const slot = slotOf(key, SLOTS);
    if (taken.has(slot)) continue;
    taken.add(slot);
    return { id, key, slot };
  }
}

interface Rec {
  readonly type: string;
  readonly outcome?: 'applied' | 'refused';
  readonly detail?: object;
  readonly digest?: Digest;
  /** At another offset than the next one, which then stays. */
  readonly offset?: bigint;
  readonly key?: string;
  readonly goesOn?: boolean;
}

/** Plays the processor of a stream: a journal row, and the position behind it. */
async function record(tx: Tx, stream: Stream, { key, slot }: Entity, rec: Rec): Promise<bigint> {
  const [position] = await tx.query<{ next: bigint }>({ text: 'select next_offset as next from position where stream = $1 and slot = $2 for update', values: [stream, slot] });
  const offset = rec.offset ?? position!.next;
  await tx.query({
    text: `insert into journal (slot, stream, "offset", body_hash, at_ms, digest, outcome, key, type, detail, messages) values ($1, $2, $3, 0, $4, $5, $6, $7, $8, $9, $10)`,
    values: [slot, stream, offset, AT_MS, rec.digest ?? null, rec.outcome ?? 'applied', rec.key ?? key, rec.type, rec.detail ? JSON.stringify(rec.detail) : null, rec.goesOn ? '[{}]' : null],
  });
  if (rec.offset === undefined) await tx.query({ text: 'update position set next_offset = next_offset + 1 where stream = $1 and slot = $2', values: [stream, slot] });
  return offset;
}

/** A client's write that was applied and goes on to its saga. */
async function wrote(one: Entity, type: string, options: { readonly shard?: ShardId; readonly offset?: bigint } = {}): Promise<{ readonly receipt: string; readonly offset: bigint }> {
  const digest = digestOf(one.key, `write-${made++}`);
  const offset = await shards.get(options.shard ?? A).transaction(async (tx) => {
    if (options.offset !== undefined) await tx.query({ text: `update position set next_offset = $2 where stream = 'writes' and slot = $1`, values: [one.slot, options.offset] });
    if (type === 'order.place') {
      await tx.query({ text: `insert into orders (slot, key, account, currency, total, lines) values ($1, $2, 'acc', 'GBP', 100, '[{"sku": "s", "quantity": 1, "unit_price": "1.00"}]')`, values: [one.slot, one.key] });
    }
    return record(tx, 'writes', one, { type, digest, goesOn: true });
  });
  return { receipt: encodeReceipt(DEMO, { slot: one.slot, offset: offset as Offset, digest }), offset };
}

/** The saga's answer to the write at an offset. */
const answerTo = ({ key }: Entity, offset: bigint): Digest => digestOf(key, followUpKey(offset));

async function putSaga(tx: Tx, { key, slot }: Entity, name: string, saga: Saga): Promise<void> {
  const row = rowOf({ key, saga: name }, saga);
  await tx.query({
    text: `insert into saga (slot, key, saga, state, body, due_ms, started_ms, changed_ms) values ($1, $2, $3, $4, $5, $6, $7, $8)
           on conflict (slot, key, saga) do update set state = excluded.state, body = excluded.body, changed_ms = excluded.changed_ms`,
    values: [slot, row.key, row.saga, row.state, JSON.stringify(row.body), row.due_ms, row.started_ms, row.changed_ms],
  });
}

const common = { kind: 'order', parts: [{ kind: 'account', id: 'acc', direction: 'out', amount: '1.00', currency: 'GBP' }], attempt: 0 } as const;
const begun: Saga = { ...common, state: 'reserving', waiting: [0], dueMs: AT_MS + 900_000, history: [{ state: 'reserving', at_ms: AT_MS }] };
const done: Saga = { ...common, state: 'confirmed', history: [{ state: 'reserving', at_ms: AT_MS }, { state: 'confirming', at_ms: AT_MS + 1 }, { state: 'confirmed', at_ms: AT_MS + 2 }] };

/** An order that was placed, and whose saga has begun. */
async function open(one: Entity): Promise<{ readonly receipt: string; readonly offset: bigint }> {
  const written = await wrote(one, 'order.place');
  await shards.get(A).transaction(async (tx) => {
    await record(tx, 'sagas', one, { type: 'order.start', digest: answerTo(one, written.offset), detail: { saga: 'order', state: 'reserving' } });
    await putSaga(tx, one, 'order', begun);
  });
  return written;
}

async function finish(tx: Tx, one: Entity): Promise<void> {
  await record(tx, 'sagas', one, { type: 'saga.reply', detail: { saga: 'order', state: 'confirmed' satisfies SagaStateName } });
  await putSaga(tx, one, 'order', done);
}

/** A turn of the stream that has nothing of anybody who waits. */
async function pass(one: Entity, records: number): Promise<void> {
  await shards.get(A).query({
    text: `insert into journal (slot, stream, "offset", body_hash, at_ms, outcome, key, type, detail)
           select p.slot, 'sagas', p.next_offset + n, 0, 0, 'applied', 'demo/other', 'saga.reply', '{"state": "confirmed"}' from position p, generate_series(0, $2::int - 1) n
           where p.slot = $1 and p.stream = 'sagas'`,
    values: [one.slot, records],
  });
  await shards.get(A).query({ text: `update position set next_offset = next_offset + $2 where slot = $1 and stream = 'sagas'`, values: [one.slot, records] });
}

const waiters = (count: number): Promise<unknown> => until(`${count} wait`, () => watch.waiters() === count, { pollMs: 2 });
const confirmed = { status: 200, json: { status: 'applied', outcome: { state: 'confirmed' } } };

describe('the status of a write that goes on', () => {
  test('is found by what it sent, whatever its key and its offset', async () => {
    const id = fc.stringMatching(/^[!-.0-~]{1,64}$/);
    const offset = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 62n }), fc.bigInt({ min: 0n, max: 100n }));
    await fc.assert(
      fc.asyncProperty(id, offset, async (name, at) => {
        const key = routingKey(DEMO, name);
        const one = { id: name, key, slot: slotOf(key, SLOTS) };
        await shards.get(A).query({ text: 'delete from journal where slot = $1', values: [one.slot] });
        const written = await wrote(one, 'order.cancel', { offset: at });
        expect((await get(`/v1/writes/${written.receipt}`)).json).toEqual({ receipt: written.receipt, status: 'accepted' });
        await shards.get(A).transaction((tx) => record(tx, 'sagas', one, { type: 'saga.cancel', outcome: 'refused', digest: answerTo(one, at), detail: { code: 'too_late' } }));
        expect((await get(`/v1/writes/${written.receipt}`)).json).toMatchObject({ status: 'refused', code: 'too_late', type: 'order.cancel' });
      }),
      { numRuns: 60 },
    );
    for (const shard of [A, B]) await shards.get(shard).query({ text: 'truncate journal' });
    await shards.get(A).query({ text: 'update position set next_offset = 0, relayed_offset = 0' });
  });

  test('is of an order applied at once, of the others when the saga has taken it', async () => {
    const one = entity();
    const { receipt } = await wrote(one, 'order.place');
    const cancel = await wrote(one, 'order.cancel');
    expect((await get(`/v1/writes/${receipt}`)).json).toMatchObject({ status: 'applied', outcome: { state: 'placed' } });
    expect((await get(`/v1/writes/${cancel.receipt}`)).json).toEqual({ receipt: cancel.receipt, status: 'accepted' });
  });

  test('is nobody else’s: who forges a receipt waits for nothing and learns nothing', async () => {
    const one = entity();
    const { receipt } = await open(one);
    tenant = 'other' as Tenant;
    const forged = await get(`/v1/writes/${encodeReceipt(tenant, decodeReceipt(DEMO, receipt)!)}`, { prefer: 'wait=2' });
    tenant = DEMO;
    expect(forged).toMatchObject({ status: 404, json: { code: 'not_found' } });
    expect(waitedFor).not.toContain(one.key);
  });
});

describe('a wait for the end of a saga', () => {
  test('ends with it, and not with a stage before it', async () => {
    const one = entity();
    const { receipt } = await open(one);
    const waiting = get(`/v1/writes/${receipt}`, WAIT);
    await waiters(1);
    await shards.get(A).transaction(async (tx) => {
      await record(tx, 'sagas', one, { type: 'saga.reply', detail: { saga: 'order', state: 'confirming' } });
      await putSaga(tx, one, 'order', { ...begun, state: 'confirming' });
    });
    expect((await get(`/v1/writes/${receipt}`)).json).toMatchObject({ outcome: { state: 'placed' } });
    expect(watch.waiters()).toBe(1);
    await shards.get(A).transaction((tx) => finish(tx, one));
    expect(await waiting).toMatchObject(confirmed);
    expect(watch.waiters()).toBe(0);
  });

  test('begins before the writer and before the saga have the write', async () => {
    const one = entity();
    const digest = digestOf(one.key, 'to come');
    const receipt = encodeReceipt(DEMO, { slot: one.slot, offset: 0n as Offset, digest });
    const waiting = get(`/v1/writes/${receipt}`, WAIT);
    await waiters(1);
    await shards.get(A).transaction((tx) => record(tx, 'writes', one, { type: 'order.place', digest, goesOn: true }));
    await until('it waits for the saga', async () => watch.waiters() === 1 && (await get(`/v1/writes/${receipt}`)).json['status'] === 'applied');
    await shards.get(A).transaction(async (tx) => {
      await record(tx, 'sagas', one, { type: 'order.start', digest: answerTo(one, 0n), detail: { saga: 'order', state: 'reserving' } });
      await finish(tx, one);
    });
    expect(await waiting).toMatchObject(confirmed);
  });

  test('goes on at the new owner where the slot moves meanwhile', async () => {
    const one = entity();
    const { receipt } = await open(one);
    const waiting = get(`/v1/writes/${receipt}`, WAIT);
    await waiters(1);
    await shards.get(A).query({ text: `update slot set state = 'MOVED', moved_to = 'b' where slot = $1`, values: [one.slot] });
    await shards.get(B).query({ text: `insert into slot (slot, state, epoch) values ($1, 'INCOMING', 2)`, values: [one.slot] });
    await copy(one.slot);
    await shards.get(B).query({ text: `update slot set state = 'ACTIVE' where slot = $1`, values: [one.slot] });
    // What the source still says of it is nobody's word.
    await shards.get(A).transaction((tx) => record(tx, 'sagas', one, { type: 'saga.reply', detail: { saga: 'order', state: 'rejected' } }));
    await shards.get(B).transaction((tx) => finish(tx, one));
    expect(await waiting).toMatchObject(confirmed);
    expect((await get(`/v1/orders/${one.id}?after=${receipt}`)).json).toMatchObject({ state: 'confirmed' });
  });

  test('looks through what an outage left behind in bounded steps, and ends', async () => {
    const one = entity();
    const { receipt } = await open(one);
    const waiting = get(`/v1/writes/${receipt}`, WAIT);
    await waiters(1);
    await pass(one, 7_000);
    await shards.get(A).transaction((tx) => finish(tx, one));
    expect(await waiting).toMatchObject(confirmed);
    const look = async (from: bigint): Promise<object> => {
      const [row] = await readProgress(shards.get(A), [{ slot: one.slot, from }]);
      return { to: row?.looked_to, told: row?.told?.includes(one.key) ?? false, ended: row?.ended?.includes(one.key) ?? false };
    };
    expect(await look(0n)).toEqual({ to: 250n, told: true, ended: false });
    expect(await look(1n)).toEqual({ to: 251n, told: false, ended: false });
    expect(await look(7_000n)).toEqual({ to: 7_002n, told: true, ended: true });
    expect(await look(7_002n)).toEqual({ to: 7_002n, told: false, ended: false });
  });

  test('ends where its records are parked, and where an operator let them go in the meantime', async () => {
    const [parked, released] = [entity(), entity()];
    const receipts = [await open(parked), await open(released)];
    await pass(released, 5);
    const waiting = receipts.map(({ receipt }) => get(`/v1/writes/${receipt}`, WAIT));
    await waiters(2);
    await shards.get(A).transaction(async (tx) => {
      await tx.query({ text: `insert into parked (slot, stream, "offset", key, at_ms, reason) select slot, 'sagas', next_offset, $2, 0, 'bad' from position where stream = 'sagas' and slot = $1`, values: [parked.slot, parked.key] });
      await tx.query({ text: `update position set next_offset = next_offset + 1 where stream = 'sagas' and slot = $1`, values: [parked.slot] });
    });
    expect(await waiting[0]).toMatchObject({ status: 200, json: { status: 'parked', reason: 'the records of its saga wait: bad' } });
    const [stuck] = await readProgress(shards.get(A), [{ slot: parked.slot, from: 1n }]);
    expect(stuck).toMatchObject({ looked_to: 2n, told: [parked.key], ended: [parked.key] });
    // What a release lets go has its row where it stands in the log: behind what was looked through.
    await shards.get(A).transaction(async (tx) => {
      await tx.query({ text: `delete from journal where slot = $1 and stream = 'sagas' and "offset" = 1`, values: [released.slot] });
      await record(tx, 'sagas', released, { type: 'saga.reply', offset: 1n, detail: { saga: 'order', state: 'confirmed' } });
      await putSaga(tx, released, 'order', done);
      await record(tx, 'sagas', released, { type: 'parked.release', detail: { action: 'retry' } });
    });
    expect(await waiting[1]).toMatchObject(confirmed);
    const [seen] = await readProgress(shards.get(A), [{ slot: released.slot, from: 6n }]);
    expect(seen).toMatchObject({ looked_to: 7n, ended: [released.key] });
  });

  test('that is not in time says what there is', async () => {
    const one = entity();
    const { receipt } = await open(one);
    expect((await get(`/v1/writes/${receipt}`, { prefer: 'wait=1' })).json).toMatchObject({ status: 'applied', outcome: { state: 'placed' } });
  });
});

/** All rows of a slot, to B. */
async function copy(slot: Slot): Promise<void> {
  for (const table of ['journal', 'orders', 'saga', 'position']) {
    const [row] = await shards.get(A).query<{ rows: string }>({ text: `select coalesce(json_agg(t), '[]')::text as rows from "${table}" t where slot = $1`, values: [slot] });
    await shards.get(B).query({ text: `insert into "${table}" select * from json_populate_recordset(null::"${table}", $1)`, values: [row!.rows] });
  }
}

describe('a read with the receipt', () => {
  test('of a cancel waits for the saga’s answer; one of the order, and one of what sagas do not change, does not', async () => {
    const one = entity();
    const placed = await open(one);
    const cancel = await wrote(one, 'order.cancel');
    expect((await get(`/v1/orders/${one.id}?after=${placed.receipt}`)).json).toMatchObject({ state: 'placed', total: '1.00' });
    expect(await get(`/v1/accounts/${one.id}?after=${cancel.receipt}`)).toMatchObject({ status: 404 });
    expect(await get(`/v1/orders/${one.id}?after=${cancel.receipt}`, { prefer: 'wait=1' })).toMatchObject({ status: 503, json: { code: 'not_yet_applied' } });
    const reading = get(`/v1/orders/${one.id}?after=${cancel.receipt}`, WAIT);
    await waiters(1);
    const undoing: Saga = { ...common, state: 'undoing', waiting: [0], ends: 'cancelled', cause: { code: 'cancelled_by_client' }, history: [...begun.history, { state: 'undoing', at_ms: AT_MS + 1 }] };
    await shards.get(A).transaction(async (tx) => {
      await record(tx, 'sagas', one, { type: 'saga.cancel', digest: answerTo(one, cancel.offset), detail: { saga: 'order', state: 'undoing' } });
      await putSaga(tx, one, 'order', undoing);
    });
    expect((await reading).json).toMatchObject({ state: 'placed', reason: 'cancelled_by_client', history: [{ state: 'placed' }, { state: 'undoing', at: '2023-11-14T22:13:20.001Z' }] });
  });

  test('of a transfer waits until there is one', async () => {
    const one = entity();
    const { receipt, offset } = await wrote(one, 'transfer.place');
    expect(await get(`/v1/transfers/${one.id}`)).toMatchObject({ status: 404 });
    const reading = get(`/v1/transfers/${one.id}?after=${receipt}`, WAIT);
    await waiters(1);
    const parts = [common.parts[0], { ...common.parts[0], id: 'to', direction: 'in' as const }];
    await shards.get(A).transaction(async (tx) => {
      await record(tx, 'sagas', one, { type: 'transfer.start', digest: answerTo(one, offset), detail: { saga: 'transfer', state: 'reserving' } });
      await putSaga(tx, one, 'transfer', { ...begun, kind: 'transfer', parts, waiting: [0, 1] });
    });
    expect(await reading).toMatchObject({ status: 200, json: { transfer: one.id, from: 'acc', to: 'to', amount: '1.00', state: 'placed' } });
  });
});

describe('the returns of an order', () => {
  const returned = (lines: number, atMs: number): Saga => ({
    ...done,
    kind: 'return',
    history: [{ state: 'reserving', at_ms: atMs }],
    parts: [{ kind: 'account', id: 'acc', direction: 'in', amount: '1.00', currency: 'GBP' }, ...Array.from({ length: lines }, (_, n) => ({ kind: 'stock', id: `s${n}`, direction: 'in', quantity: 1 }) as const)],
  });
  const shown = async ({ id }: Entity): Promise<{ readonly ids: readonly unknown[]; readonly leftOut: unknown }> => {
    const { json } = await get(`/v1/orders/${id}`);
    return { ids: (json['returns'] as { return: string }[]).map((each) => each.return), leftOut: json['returns_left_out'] };
  };

  test('are shown in the order of their start; of many the last hundred', async () => {
    const one = entity();
    await open(one);
    await shards.get(A).transaction(async (tx) => {
      for (let n = 0; n < 100; n += 1) await putSaga(tx, one, `return/r${n}`, returned(1, AT_MS + Math.floor(n / 30)));
    });
    const all = Array.from({ length: 100 }, (_, n) => `r${n}`);
    expect(await shown(one)).toEqual({ ids: all, leftOut: undefined });
    await shards.get(A).transaction(async (tx) => {
      for (let n = 100; n < 130; n += 1) await putSaga(tx, one, `return/r${n}`, returned(1, AT_MS + 10));
    });
    expect(await shown(one)).toEqual({ ids: [...all.slice(30), ...Array.from({ length: 30 }, (_, n) => `r${100 + n}`)], leftOut: 30 });
  });

  test('are bounded by their lines too, and one is always shown', async () => {
    const one = entity();
    await open(one);
    await shards.get(A).transaction(async (tx) => {
      for (let n = 0; n < 3; n += 1) await putSaga(tx, one, `return/r${n}`, returned(1_000, AT_MS + n));
    });
    expect(await shown(one)).toEqual({ ids: ['r1', 'r2'], leftOut: 1 });
    await shards.get(A).transaction((tx) => putSaga(tx, one, 'return/r3', returned(limits.returnLinesMax + 1, AT_MS + 3)));
    expect(await shown(one)).toEqual({ ids: ['r3'], leftOut: 3 });
  });

  test('are not read beyond what is shown and counted, however many there are and whatever the planner believes of them', async () => {
    const one = entity();
    await open(one);
    const row = rowOf({ key: one.key, saga: 'return/r0' }, returned(1, AT_MS));
    await shards.get(A).query({
      text: `insert into saga (slot, key, saga, state, body, started_ms, changed_ms)
             select $1, $2, 'return/r' || (7919 * n % 3000), $3, $4, $5::bigint + n, 0 from generate_series(0, 2999) n`,
      values: [one.slot, one.key, row.state, JSON.stringify(row.body), AT_MS],
    });
    const last = Array.from({ length: limits.returnsMax }, (_, n) => `r${(7919 * (3_000 - limits.returnsMax + n)) % 3_000}`);
    const asked: Sql[] = [];
    const spy = { ...shards.get(A), query: (sql: Sql) => (asked.push(sql), Promise.resolve([])) } as Database;
    await readOrder(spy, one.slot, one.key, limits);
    const { text, values } = asked[0]!;
    for (const before of ['select 1', 'analyze saga']) {
      await shards.get(A).query({ text: before });
      expect(await shown(one)).toEqual({ ids: last, leftOut: limits.returnsCountedMax - limits.returnsMax });
      const [plan] = await shards.get(A).query<{ 'QUERY PLAN': object }>({ text: `explain (analyze, format json) ${text}`, values });
      const read = [...JSON.stringify(plan).matchAll(/"Relation Name":"saga".*?"Actual Rows":(\d+)/g)].map(([, rows]) => Number(rows));
      expect(Math.max(...read)).toBe(limits.returnsCountedMax);
      expect(read.filter((rows) => rows === limits.returnsMax)).toHaveLength(1);
    }
  });
});
