/** The ledger checker against a real broker and real shards, which a simulation has filled without a mistake. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createKafka, createLanes, ensureTopics, readTopic, type KafkaClient } from '@millrace/kafka';
import { formatVerdict, verifyLedger, type ShardSnapshot, type SlotRows, type Verdict, type VerifyOptions } from '@millrace/ledger';
import { authorize, cancel, capture, deposit, invalid, open, place, receive, release, simulate, type Step, type World } from '@millrace/ledger/testing';
import { startBroker, startPostgres, type Broker, type Postgres } from '@millrace/local-cluster';
import { createDatabase, type Database, type Tx } from '@millrace/postgres';
import { createLog } from '@millrace/runtime';
import { prepareShard, seedSlots } from '@millrace/slot-processor';
import { topicNames, topicSettings } from '@millrace/wire';
import { digestOf, must, type Epoch, type ShardId, type Slot } from '@millrace/write';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const A = 'a' as ShardId;
const B = 'b' as ShardId;
const OWNERS: readonly ShardId[] = [A, B, A, B, A, B, A, B];
const log = createLog({ name: 'test', level: 'silent' });

const STEPS: readonly Step[] = Array.from({ length: 12 }, (_, i) => `${i}`).flatMap((i) => [
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
let world: World;
const shards = new Map<ShardId, Database>();
/** What puts back what a test spoilt. */
let repair: (() => Promise<void>)[] = [];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-ledger-'));
  broker = await startBroker({ dir: join(dir, 'kafka') });
  postgres = await startPostgres({ dir: join(dir, 'postgres'), durable: false });
  kafka = createKafka({ brokers: [broker.address], clientId: 'test', log });
  const settings = must(topicSettings({ prefix: '', slots: OWNERS.length, minInsync: 1 }).find(({ name }) => name === 'writes'), 'writes is a topic');
  await ensureTopics({ kafka, topics: [{ ...settings, replicationFactor: 1 }], timeoutMs: 20_000, log });
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

describe('the ledger checker', () => {
  test('a log and the shards that applied it are clean, in one pass or in many', async () => {
    const acked = world.log.map(({ slot, offset }, i) => ({ slot, offset, digest: digestOf(STEPS[i]!.key, STEPS[i]!.idempotencyKey) }));
    const verdict = await verify({ acked });
    expect(formatVerdict(verdict)).toContain('0 lost, 0 doubled, 0 out of order; balances match\nclean: 168 records');
    expect(verdict).toMatchObject({ clean: true, acked: STEPS.length, duplicates: 12, mismatches: 12 });
    expect(await verify({ acked, recordsPerPassMax: 1 })).toEqual(verdict);
  });

  test.each<[fault: string, kind: keyof Verdict, text: string]>([
    ['a lost row', 'lost', `delete from journal where (slot, "offset") in (select slot, "offset" from journal where type = 'stock.receive' limit 1)`],
    ['a lost effect', 'wrongPayment', `delete from payment where payment = 'pay-1' and account = (select min(account) from payment)`],
    ['an effect applied twice', 'wrongStock', `update stock set on_hand = on_hand * 2 where key = (select min(key) from stock)`],
    ['a journal row for a duplicate', 'doubled', `
      insert into journal (slot, stream, "offset", body_hash, at_ms, digest, outcome, key, type)
      select slot, stream, "offset" + 2, body_hash, at_ms, null, outcome, key, type from journal j
      where type = 'account.deposit' and detail is null
      and not exists (select from journal o where o.slot = j.slot and o."offset" = j."offset" + 2)
      and exists (select from journal o where o.slot = j.slot and o."offset" = j."offset" + 3 and o.detail ->> 'code' = 'idempotency_mismatch') limit 1`],
    ['an outcome of another order', 'outOfOrder', `
      update journal set outcome = 'refused', detail = '{"code": "insufficient_funds"}'
      where (slot, "offset") in (select slot, "offset" from journal where type = 'payment.capture' limit 1)`],
    ['a wrong balance', 'wrongBalance', `update account set balance = balance + 1 where key = (select min(key) from account)`],
    ['an order in the wrong state', 'wrongOrder', `update orders set state = 'placed' where key = (select min(key) from orders)`],
    ['a parked row that is gone', 'lost', `delete from parked where key = (select min(key) from parked)`],
    ['a position that lags', 'notYetApplied', `update position set next_offset = next_offset - 1, relayed_offset = 0 where stream = 'writes' and next_offset > 0`],
    ['a position beyond the log', 'wrongPosition', `update position set next_offset = next_offset + 1 where stream = 'writes'`],
    ['rows of a slot that another shard owns', 'wrongShard', `insert into stock (slot, key, on_hand, reserved) select slot + 1, key, on_hand, reserved from stock limit 1`],
    ['a slot that is not active', 'wrongSlot', `update slot set state = 'INCOMING' where slot = 0`],
    ['a database that is another shard', 'wrongSlot', `update shard_identity set shard_id = 'c'`],
  ])('%s is found', async (_, kind, text) => {
    await spoil(A, text);
    const verdict = await verify();
    expect(verdict.clean).toBe(false);
    expect(verdict[kind]).toBeGreaterThan(0);
    expect(verdict.differences[0]?.shard).toBe(A);
    expect(formatVerdict(verdict)).toContain('NOT CLEAN');
  });

  test('rows on a shard that owns nothing are found', async () => {
    const owners = OWNERS.map(() => B);
    const verdict = await verify({ owners, allShardIds: [A, B] });
    expect(verdict.wrongShard).toBeGreaterThan(0);
    expect(verdict.differences[0]).toMatchObject({ shard: A });
  });

  test('a shard that catches up while the checker waits is clean', async () => {
    const positions = await shard(A).query<{ slot: number; next: bigint }>({ text: `select slot, next_offset as next from position where stream = 'writes'` });
    const at = must(positions.find(({ next }) => next > 0n), 'some slot has records');
    await shard(A).query({ text: `update position set relayed_offset = 0, next_offset = 0 where stream = 'writes' and slot = $1`, values: [at.slot] });
    const late = verify({ waitMs: 60_000 });
    await shard(A).query({ text: `update position set next_offset = $2 where stream = 'writes' and slot = $1`, values: [at.slot, at.next] });
    expect(await late).toMatchObject({ clean: true });
  });

  test('an aborted verification rejects with the reason', async () => {
    const reason = new Error('enough');
    await expect(verify({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

async function verify(options: Partial<VerifyOptions> = {}): Promise<Verdict> {
  const signal = AbortSignal.timeout(60_000);
  return verifyLedger({ kafka, topicPrefix: '', slots: OWNERS.length, owners: OWNERS, shards: shard, allShardIds: [A, B], signal, ...options });
}

function shard(id: ShardId): Database {
  return must(shards.get(id), `shard ${id}`);
}

/** Runs one statement that must change something, and puts the tables back after the test. */
async function spoil(id: ShardId, text: string): Promise<void> {
  const tables = ['slot', 'position', 'journal', 'parked', 'account', 'payment', 'orders', 'stock', 'shard_identity'];
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

async function fillShard(snapshot: ShardSnapshot, times: ReadonlyMap<string, number>): Promise<void> {
  const id = snapshot.shard;
  const options = { applicationName: 'test', poolMax: 2, statementTimeoutMs: 30_000, idleInTransactionTimeoutMs: 30_000, connectTimeoutMs: 10_000, log };
  const server = must(postgres, 'Postgres is up');
  const admin = createDatabase({ ...options, name: 'admin', url: server.url });
  await admin.query({ text: `create database shard_${id}` });
  await admin.end();
  const url = new URL(server.url);
  url.pathname = `/shard_${id}`;
  const database = createDatabase({ ...options, name: `shard ${id}`, url: url.href });
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
  const { nextOffset } = must(rows.position, 'every slot has a position');
  await tx.query({ text: `update position set next_offset = $2, relayed_offset = $2 where slot = $1 and stream = 'writes'`, values: [slot, nextOffset] });
  for (const { offset, bodyHash, digest, outcome, key, type, code, first, releasedBy } of rows.journal) {
    const facts = Object.entries({ code, first, released_by: releasedBy }).filter(([, fact]) => fact !== null);
    const detail = facts.length === 0 ? null : JSON.stringify(Object.fromEntries(facts));
    await insert('journal', { slot, stream: 'writes', offset, body_hash: bodyHash, at_ms: timeOf(offset), digest, outcome, key, type, detail });
  }
  for (const { offset, key, value } of rows.parked) await insert('parked', { slot, stream: 'writes', offset, key, value, at_ms: timeOf(offset), reason: 'test' });
  for (const row of rows.accounts) await insert('account', { slot, ...row });
  for (const { orderId, ...row } of rows.payments) await insert('payment', { slot, ...row, order_id: orderId });
  for (const { lines, ...row } of rows.orders) await insert('orders', { slot, ...row, lines: JSON.stringify(lines) });
  for (const { key, onHand, reserved } of rows.stock) await insert('stock', { slot, key, on_hand: onHand, reserved });
}
