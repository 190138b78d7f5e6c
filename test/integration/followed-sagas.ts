/** The gateway's reads on two real shards, for tests of how they follow sagas. Writer, orchestrator and mover are played, row by row. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from '@jest/globals';
import { followUpKey } from '@millrace/domain';
import { startPostgres, type Postgres } from '@millrace/local-cluster';
import { createDatabase, type Database, type Tx } from '@millrace/postgres';
import { createTopology, slotOf } from '@millrace/ring';
import { createLog, createRegistry } from '@millrace/runtime';
import { rowOf, type Saga } from '@millrace/saga';
import { prepareShard, seedSlots } from '@millrace/slot-processor';
import { createShards, type Shards } from '@millrace/topology';
import { digestOf, encodeReceipt, routingKey, type Digest, type Epoch, type Offset, type RoutingKey, type ShardId, type Slot, type Stream, type Tenant } from '@millrace/write';
import express from 'express';
import { createBodyReader } from '../../services/ingest-gateway/src/http/body.ts';
import { createDeadlines } from '../../services/ingest-gateway/src/http/deadlines.ts';
import { limits } from '../../services/ingest-gateway/src/limits.ts';
import { createMetrics } from '../../services/ingest-gateway/src/metrics.ts';
import { createFollowSlot } from '../../services/ingest-gateway/src/read/follow.ts';
import { createInFlightReads } from '../../services/ingest-gateway/src/read/in-flight-reads.ts';
import { createOutcomes } from '../../services/ingest-gateway/src/read/outcomes.ts';
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

export const DEMO = 'demo' as Tenant;
export const [A, B] = ['a', 'b'] as ShardId[] as [ShardId, ShardId];
export const SLOTS = 256;
const POOL = { applicationName: 'test', poolMax: 6, statementTimeoutMs: 30_000, idleInTransactionTimeoutMs: 30_000, connectTimeoutMs: 5_000 };
export const AT_MS = 1_700_000_000_000;
const log = createLog({ name: 'test', level: 'silent' });
const deadlines = createDeadlines(20);
const dir = mkdtempSync(join(tmpdir(), 'millrace-sagas-'));

let postgres: Postgres;
export let shards: Shards;
let server: Server;
export let watch: Watch;
/** Keys whose sagas were waited for. */
export const waitedFor: string[] = [];
/** Who asks. */
export const caller = { tenant: DEMO };

interface Reply {
  readonly status: number;
  readonly json: Readonly<Record<string, unknown>>;
}

/** Two shards, of which A has all slots, and the reads over them, for the tests of a file. */
export function useReads(): void {
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
}

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
  const keys = { tenantOf: () => caller.tenant, reload: () => undefined, stop: () => undefined };
  const parts = { keys, outcomes, inFlight: createInFlightReads(limits), slots: SLOTS, limits, metrics, closing: () => [] };
  const reads = createReads({ ...parts, follow });
  const bodies = createBodyReader({ limits, deadlines, inFlight: createInFlight(limits) });
  const app = express().use(statusRoutes(parts), accountRoutes(reads), orderRoutes(reads), transferRoutes(reads)).use(failures({ bodies, metrics, log }));
  server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
}

export async function get(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Reply> {
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, { headers });
  return { status: response.status, json: (await response.json()) as Reply['json'] };
}

export interface Entity {
  readonly id: string;
  readonly key: RoutingKey;
  readonly slot: Slot;
}

let made = 0;
const taken = new Set<number>();

/** In a slot of its own. */
export function entity(): Entity {
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
export async function record(tx: Tx, stream: Stream, { key, slot }: Entity, rec: Rec): Promise<bigint> {
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
export async function wrote(one: Entity, type: string, options: { readonly shard?: ShardId; readonly offset?: bigint } = {}): Promise<{ readonly receipt: string; readonly offset: bigint }> {
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
export const answerTo = ({ key }: Entity, offset: bigint): Digest => digestOf(key, followUpKey(offset));

export async function putSaga(tx: Tx, { key, slot }: Entity, name: string, saga: Saga): Promise<void> {
  const row = rowOf({ key, saga: name }, saga);
  await tx.query({
    text: `insert into saga (slot, key, saga, state, body, due_ms, started_ms, changed_ms) values ($1, $2, $3, $4, $5, $6, $7, $8)
           on conflict (slot, key, saga) do update set state = excluded.state, body = excluded.body, changed_ms = excluded.changed_ms`,
    values: [slot, row.key, row.saga, row.state, JSON.stringify(row.body), row.due_ms, row.started_ms, row.changed_ms],
  });
}

export const common = { kind: 'order', parts: [{ kind: 'account', id: 'acc', direction: 'out', amount: '1.00', currency: 'GBP' }], attempt: 0 } as const;
export const begun = { ...common, state: 'reserving', waiting: [0], dueMs: AT_MS + 900_000, history: [{ state: 'reserving', at_ms: AT_MS }] } satisfies Saga;
export const done: Saga = { ...common, state: 'confirmed', history: [{ state: 'reserving', at_ms: AT_MS }, { state: 'confirming', at_ms: AT_MS + 1 }, { state: 'confirmed', at_ms: AT_MS + 2 }] };

/** An order that was placed, and whose saga has begun. */
export async function open(one: Entity): Promise<{ readonly receipt: string; readonly offset: bigint }> {
  const written = await wrote(one, 'order.place');
  await shards.get(A).transaction(async (tx) => {
    await record(tx, 'sagas', one, { type: 'order.start', digest: answerTo(one, written.offset), detail: { saga: 'order', state: 'reserving' } });
    await putSaga(tx, one, 'order', begun);
  });
  return written;
}
