/** A real broker and real shards, for tests of the ledger checker, which a simulation has filled without a mistake. */
import { afterAll, afterEach, beforeAll, expect } from '@jest/globals';
import { createKafka, createLanes, ensureTopics, readTopic, type KafkaClient } from '@millrace/kafka';
import { verifyLedger, type ShardSnapshot, type SlotRows, type Verdict, type VerifyOptions } from '@millrace/ledger';
import { authorize, cancel, capture, deposit, invalid, open, place, receive, release, simulate, type Step, type World } from '@millrace/ledger/testing';
import { startBroker, startPostgres, type Broker, type Postgres } from '@millrace/local-cluster';
import { createDatabase, type Database, type Tx } from '@millrace/postgres';
import { createLog } from '@millrace/runtime';
import { prepareShard, seedSlots } from '@millrace/slot-processor';
import { topicNames, topicSettings } from '@millrace/wire';
import { must, type Epoch, type ShardId, type Slot } from '@millrace/write';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const A = 'a' as ShardId;
export const B = 'b' as ShardId;
export const OWNERS: readonly ShardId[] = [A, B, A, B, A, B, A, B];
export const log = createLog({ name: 'test', level: 'silent' });

export const STEPS: readonly Step[] = Array.from({ length: 12 }, (_, i) => `${i}`).flatMap((i) => [
  open(`acc-${i}`),
  deposit(`acc-${i}`, '10.00'),
  deposit(`acc-${i}`, '4.00', { idempotencyKey: `again-${i}` }),
  authorize(`acc-${i}`, 'pay-1', '7.00'),
  deposit(`acc-${i}`, '4.00', { idempotencyKey: `again-${i}` }),
  deposit(`acc-${i}`, '5.00', { idempotencyKey: `again-${i}` }),
  capture(`acc-${i}`, 'pay-1'),
  authorize(`acc-${i}`, 'pay-2', '99.00'),
  receive(`sku-${i}`, 40),
  place(`ord-${i}`),
  cancel(`ord-${i}`),
  invalid(`acc-${i}`),
  deposit(`acc-${i}`, '1.00'),
  release(`acc-${i}`, Number(i) % 2 === 0 ? 'skip' : 'retry'),
]);

let dir: string;
let broker: Broker | undefined;
let postgres: Postgres | undefined;
let kafka: KafkaClient;
export let world: World;
const shards = new Map<ShardId, Database>();
/** What puts back what a test spoilt. */
let repair: (() => Promise<void>)[] = [];

/** The broker and the shards for the tests of a file; what a test spoilt is put back behind it. */
export function useShards(): void {
  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'millrace-ledger-'));
    broker = await startBroker({ dir: join(dir, 'kafka') });
    postgres = await startPostgres({ dir: join(dir, 'postgres'), durable: false });
    kafka = createKafka({ brokers: [broker.address], clientId: 'test', log });
    const topics = topicSettings({ prefix: '', slots: OWNERS.length, minInsync: 1 }).filter(({ name }) => name === 'writes' || name === 'sagas');
    await ensureTopics({ kafka, topics: topics.map((settings) => ({ ...settings, replicationFactor: 1 })), timeoutMs: 20_000, log });
    world = simulate(STEPS, OWNERS);
    const lanes = await createLanes({ kafka, topic: 'writes', log, limits: { recordsPerRequestMax: 500, queuedRecordsMax: 20_000, queuedBytesMax: 16 << 20, requestTimeoutMs: 5_000 } });
    await lanes.sendMany(world.log.map(({ slot, key, value }) => ({ slot, key, value: must(value, 'each has one') })));
    await lanes.close();
    const times = await timesOfLog();
    for (const snapshot of world.shards) await fillShard(snapshot, times);
  });

  afterAll(async () => {
    for (const database of shards.values()) await database.end();
    await Promise.all([broker?.stop(), postgres?.stop()]);
    rmSync(dir, { recursive: true, force: true });
  });

  afterEach(async () => {
    for (const undo of repair.reverse()) await undo();
    repair = [];
  });
}

export async function verify(options: Partial<VerifyOptions> = {}): Promise<Verdict> {
  const signal = AbortSignal.timeout(60_000);
  return verifyLedger({ kafka, topicPrefix: '', slots: OWNERS.length, owners: OWNERS, shards: shard, allShardIds: [A, B], signal, ...options });
}

export function shard(id: ShardId): Database {
  return must(shards.get(id), `shard ${id}`);
}

/** Runs one statement that must change something, and puts the tables back after the test. */
export async function spoil(id: ShardId, text: string): Promise<void> {
  const tables = ['slot', 'changed', 'incoming', 'position', 'journal', 'parked', 'account', 'payment', 'orders', 'stock', 'hold', 'saga', 'shard_identity'];
  for (const table of tables) await shard(id).query({ text: `create table kept_${table} as table ${table}` });
  repair.push(async () => {
    await shard(id).query({ text: `truncate ${tables.join(', ')}` });
    for (const table of tables) {
      await shard(id).query({ text: `insert into ${table} table kept_${table}` });
      await shard(id).query({ text: `drop table kept_${table}` });
    }
  });
  const changed = await shard(id).query({ text: `${text} returning 1` });
  expect(changed.length).toBeGreaterThan(0);
}

/** Kafka's own time of each record, which no simulation can know. */
async function timesOfLog(): Promise<ReadonlyMap<string, number>> {
  const times = new Map<string, number>();
  await readTopic({
    kafka,
    topic: topicNames('').writes,
    signal: AbortSignal.timeout(60_000),
    onRecords: (slot, records) => {
      for (const { offset, timestampMs } of records) times.set(`${slot}/${offset}`, timestampMs);
    },
  });
  return times;
}

export async function createTestDatabase(name: string): Promise<Database> {
  const options = { applicationName: 'test', poolMax: 4, statementTimeoutMs: 30_000, idleInTransactionTimeoutMs: 30_000, connectTimeoutMs: 10_000, log };
  const server = must(postgres, 'Postgres is up');
  const admin = createDatabase({ ...options, name: 'admin', url: server.url });
  await admin.query({ text: `create database ${name}` });
  await admin.end();
  const url = new URL(server.url);
  url.pathname = `/${name}`;
  return createDatabase({ ...options, name, url: url.href });
}

async function fillShard(snapshot: ShardSnapshot, times: ReadonlyMap<string, number>): Promise<void> {
  const id = snapshot.shard;
  const database = await createTestDatabase(`shard_${id}`);
  shards.set(id, database);
  await prepareShard({ database, identity: { clusterId: '00000000-0000-4000-8000-000000000000', shard: id, slots: OWNERS.length }, log });
  await seedSlots(database, { epoch: 1 as Epoch, slots: [...snapshot.slots.keys()] as Slot[] });
  await database.transaction(async (tx) => {
    for (const [slot, rows] of snapshot.slots) await fillSlot(tx, slot, rows, (offset) => must(times.get(`${slot}/${offset}`), 'every record has a time'));
  });
}

async function fillSlot(tx: Tx, slot: number, rows: SlotRows, timeOf: (offset: bigint) => number): Promise<void> {
  const insert = async (table: string, row: Readonly<Record<string, unknown>>): Promise<void> => {
    const names = Object.keys(row);
    const text = `insert into ${table} (${names.map((name) => `"${name}"`).join(', ')}) values (${names.map((_, i) => `$${i + 1}`).join(', ')})`;
    await tx.query({ text, values: Object.values(row) });
  };
  const { nextOffset, relayedOffset } = must(rows.streams.writes.position, 'every slot has a position');
  await tx.query({ text: `update position set next_offset = $2, relayed_offset = $3 where slot = $1 and stream = 'writes'`, values: [slot, nextOffset, relayedOffset] });
  for (const { offset, bodyHash, digest, outcome, key, type, code, first, releasedBy, messages } of rows.streams.writes.journal) {
    const facts = Object.entries({ code, first, released_by: releasedBy }).filter(([, fact]) => fact !== null);
    const detail = facts.length === 0 ? null : JSON.stringify(Object.fromEntries(facts));
    await insert('journal', { slot, stream: 'writes', offset, body_hash: bodyHash, at_ms: timeOf(offset), digest, outcome, key, type, detail, messages: messages === null ? null : JSON.stringify(messages) });
  }
  for (const { offset, key, value } of rows.streams.writes.parked) await insert('parked', { slot, stream: 'writes', offset, key, value, at_ms: timeOf(offset), reason: 'test' });
  for (const row of rows.accounts) await insert('account', { slot, ...row });
  for (const { orderId, ...row } of rows.payments) await insert('payment', { slot, ...row, order_id: orderId });
  for (const { lines, ...row } of rows.orders) await insert('orders', { slot, ...row, lines: JSON.stringify(lines) });
  for (const { key, onHand, reserved, incoming } of rows.stock) await insert('stock', { slot, key, on_hand: onHand, reserved, incoming });
}
