/** A lane over a real shard whose answers get lost, whose positions are held by a sleeper, and whose slots leave. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Message } from '@millrace/domain';
import type { Lanes, OutgoingRecord } from '@millrace/kafka';
import { startPostgres, type Postgres } from '@millrace/local-cluster';
import { createDatabase, PgError, type Database, type Sql, type Tx } from '@millrace/postgres';
import { slotOf } from '@millrace/ring';
import { createBreaker, createLog, createRegistry } from '@millrace/runtime';
import { prepareShard, releaseRecord, seedSlots } from '@millrace/slot-processor';
import { until } from '@millrace/testkit';
import { encodeWrite, isNewer, parseOutcome, placeOf } from '@millrace/wire';
import { must, type Epoch, type Offset, type RoutingKey, type ShardId, type Slot } from '@millrace/write';
import { readReleased } from '../../libs/slot-processor/src/journal.sql.ts';
import { createLane, type Lane, type Refusal } from '../../libs/slot-processor/src/lane.ts';
import { createProcessorMetrics } from '../../libs/slot-processor/src/metrics.ts';
import { RELAY_CATCH_UP_ROWS_MAX, RELAY_TURNS_MAX, TURN_MESSAGES_MAX } from '../../libs/slot-processor/src/limits.ts';
import type { Slice, StreamModel } from '../../libs/slot-processor/src/model.ts';
import { createRelay } from '../../libs/slot-processor/src/relay.ts';
import { sliceOf } from '../../libs/slot-processor/src/slices.ts';
import { writesModel } from '../../services/shard-writer/src/model.ts';

const SLOTS = 4;
const LOCK_TIMEOUT_MS = 300;
const dir = mkdtempSync(join(tmpdir(), 'millrace-lane-'));
const log = createLog({ name: 'test', level: 'silent' });
const slot = slotOf('demo/a', SLOTS);
const shard = 'a' as ShardId;

let server: Postgres;
let database: Database;
const connect = (applicationName: string): Database =>
  createDatabase({ name: 'a', url: server.url, applicationName, poolMax: 4, statementTimeoutMs: 30_000, lockTimeoutMs: LOCK_TIMEOUT_MS, idleInTransactionTimeoutMs: 30_000, connectTimeoutMs: 5_000, log });
beforeAll(async () => {
  server = await startPostgres({ dir, durable: false });
  database = connect('lane-test');
  await prepareShard({ database, identity: { clusterId: '00000000-0000-0000-0000-000000000001', shard, slots: SLOTS }, log });
  await seedSlots(database, { epoch: 1 as Epoch, slots: [slot] });
});
afterAll(async () => {
  await database?.end();
  await server?.stop();
  rmSync(dir, { recursive: true, force: true });
});
beforeEach(async () => {
  await database.query({ text: 'truncate journal, parked, changed, account, orders' });
  await database.query({ text: 'update position set next_offset = 0, relayed_offset = 0' });
  await database.query({ text: `update slot set state = 'ACTIVE', moved_to = null, held_until = null` });
});

/** Account `a` is opened, then each record adds one. */
function sliceFrom(from: number, to: number): Slice {
  const records = Array.from({ length: to - from }, (_, i) => {
    const offset = from + i;
    const write = offset === 0 ? { type: 'account.open', data: { account: 'a', currency: 'GBP' } } : { type: 'account.deposit', data: { account: 'a', amount: '1.00', currency: 'GBP' } };
    return { slot, offset: BigInt(offset) as Offset, key: 'demo/a', value: Buffer.from(encodeWrite({ ...write, idempotencyKey: `w${offset}` })), atMs: 1_700_000_000_000 };
  });
  return sliceOf({ slot, from: BigInt(from) as Offset, to: BigInt(to) as Offset }, records);
}

interface Running {
  readonly lane: Lane;
  /** Below it everything is applied, as the lane told. */
  applied(): bigint;
  readonly published: OutgoingRecord[];
  /** To stream `sagas`. */
  readonly sent: OutgoingRecord[];
  readonly refused: { readonly slot: Slot; readonly refusal: Refusal; readonly left: readonly Slice[] }[];
  metric(name: string): Promise<number>;
}

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

interface Around {
  readonly model?: StreamModel;
  /** Kafka takes nothing before. */
  readonly taking?: Promise<void>;
}

function startLane(over: Database, { model = writesModel, taking }: Around = {}): Running {
  const stopping = new AbortController();
  const { signal } = stopping;
  const registry = createRegistry();
  const metrics = createProcessorMetrics({ stream: 'writes', log, registry });
  const breaker = createBreaker({ name: 'shard a', resetMs: 100, log, registry });
  const published: OutgoingRecord[] = [];
  const sent: OutgoingRecord[] = [];
  const refused: Running['refused'] = [];
  let applied = 0n;
  const bugs: unknown[] = [];
  const onBug = (error: unknown): void => void bugs.push(error);
  const into = (kept: OutgoingRecord[]): Lanes => {
    const sendMany = async (records: readonly OutgoingRecord[]): Promise<readonly Offset[]> => {
      await taking;
      kept.push(...records);
      return [];
    };
    return { sendMany } satisfies Partial<Lanes> as Partial<Lanes> as Lanes;
  };
  const relay = createRelay({ shard, model: { stream: 'writes', isPublic: () => true }, slots: SLOTS, database: over, publishers: { outcomes: into(published), streams: new Map([['sagas', into(sent)]]) }, metrics, signal, onBug });
  const events = {
    onPosition: () => undefined,
    onApplied: (_: Slot, next: Offset) => void (applied = next),
    onRefused: (slot: Slot, refusal: Refusal, left: readonly Slice[]) => void refused.push({ slot, refusal, left }),
    onFlow: () => undefined,
    onBug,
  };
  const lane = createLane({ shard, database: over, model, slots: SLOTS, relay, breaker, metrics, signal, events });
  stops.push(async () => {
    stopping.abort(new Error('the test is over'));
    await lane.stopped();
    breaker.shutdown();
    expect(bugs).toEqual([]);
  });
  const metric = async (name: string): Promise<number> => {
    const { values } = await must(registry.getSingleMetric(name), `metric ${name}`).get();
    return values.reduce((sum, { value }) => sum + value, 0);
  };
  return { lane, applied: () => applied, published, sent, refused, metric };
}

/** The shard, but the answer to some COMMITs is lost: of those that happened, or of those that did not. */
function losing(fates: ('stored' | 'lost' | 'answered')[]): Database {
  const unknown = (): PgError => new PgError('no answer to COMMIT', { kind: 'unknown-commit', database: 'a', statement: 'commit' });
  return {
    ...database,
    async transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
      const fate = fates.shift() ?? 'answered';
      if (fate === 'answered') return database.transaction(work);
      const nothing = new Error('rolled back');
      await database
        .transaction(async (tx) => {
          await work(tx);
          if (fate === 'lost') throw nothing;
        })
        .catch((error: unknown) => {
          if (error !== nothing) throw error;
        });
      throw unknown();
    },
  };
}

async function expectOnce(count: number): Promise<void> {
  expect(await database.query({ text: 'select "offset"::int as at from journal order by 1' })).toEqual(Array.from({ length: count }, (_, at) => ({ at })));
  expect(await database.query({ text: `select next_offset::int as next from position where stream = 'writes' and slot = $1`, values: [slot] })).toEqual([{ next: count }]);
  expect(await database.query({ text: 'select balance::int as balance from account' })).toEqual([{ balance: (count - 1) * 100 }]);
}

test.each([
  ['happened', ['stored']],
  ['did not happen', ['lost']],
  ['sometimes happened', ['lost', 'stored', 'lost', 'lost', 'stored', 'stored', 'answered', 'lost', 'stored']],
] as const)('W5 an unknown commit that %s is read again: nothing is lost or doubled, on the shard or in what is published', async (_, fates) => {
  const running = startLane(losing([...fates]));
  for (let from = 0; from < 40; from += 10) {
    running.lane.offer(sliceFrom(from, from + 10));
    await until('the records are applied', () => running.applied() === BigInt(from + 10));
  }
  await expectOnce(40);
  await until('all outcomes are published', () => running.published.length >= 40);
  const offsets = running.published.map(({ value }) => Number(parseOutcome(Buffer.from(value)).offset));
  expect(offsets).toEqual(Array.from({ length: 40 }, (_, at) => at));
  expect(await running.metric('millrace_duplicates_total')).toBe(0);
  expect(await running.metric('millrace_turn_failures_total')).toBe(fates.filter((fate) => fate !== 'answered').length);
});

test('a session that sleeps inside a COPY while it holds the position is ended by the lane that waits for it', async () => {
  const sleeper = connect('sleeper');
  const asleep = Promise.withResolvers<void>();
  const woken = Promise.withResolvers<void>();
  const sleeping = sleeper.transaction(async (tx) => {
    await tx.query({ text: `select 1 from position where stream = 'writes' and slot = $1 for update`, values: [slot] });
    asleep.resolve();
    await tx.copyIn('copy changed (slot, stream, "offset", "table", key) from stdin', (async function* () {
      yield `${slot}\twrites\t0\taccount\t{late}\n`;
      await woken.promise;
    })());
  });
  const ended = sleeping.then(() => 'committed', (error: unknown) => error);
  await asleep.promise;
  const running = startLane(database);
  running.lane.offer(sliceFrom(0, 5));
  await until('the lane goes on', () => running.applied() === 5n);
  await expectOnce(5);
  expect(await running.metric('millrace_evictions_total')).toBe(1);
  woken.resolve();
  expect(await ended).toBeInstanceOf(PgError);
  expect(await database.query({ text: 'select 1 from changed' })).toEqual([]);
  await sleeper.end();
}, 60_000);

test('W2 a slot that left has all its records given back that are not applied, in order', async () => {
  const running = startLane(database);
  running.lane.offer(sliceFrom(0, 5));
  await until('the first are applied', () => running.applied() === 5n);
  const locked = Promise.withResolvers<void>();
  const offered = Promise.withResolvers<void>();
  const fence = database.transaction(async (tx) => {
    await tx.query({ text: 'select 1 from position where slot = $1 for update', values: [slot] });
    locked.resolve();
    await offered.promise;
    await tx.query({ text: `update slot set state = 'MOVED', moved_to = 'b' where slot = $1`, values: [slot] });
  });
  await locked.promise;
  running.lane.offer(sliceFrom(5, 8));
  await until('the turn is under way', () => running.lane.status().records === 0);
  running.lane.offer(sliceFrom(8, 9));
  running.lane.ask(slot, 9n as Offset);
  offered.resolve();
  await fence;
  await until('the slot is refused', () => running.refused.length > 0);
  const [first] = running.refused;
  expect(first).toMatchObject({ slot, refusal: { kind: 'elsewhere', movedTo: 'b' } });
  expect(must(first, 'a refusal').left.flatMap(({ records }) => records.map(({ offset }) => Number(offset)))).toEqual([5, 6, 7, 8]);
  expect(running.lane.status().records).toBe(0);
  await expectOnce(5);
});

test('a slot that is held is given back with the time that it waits, and applies afterwards', async () => {
  const running = startLane(database);
  await database.query({ text: `update slot set held_until = clock_timestamp() + interval '1 hour' where slot = $1`, values: [slot] });
  running.lane.offer(sliceFrom(0, 3));
  await until('the slot is refused', () => running.refused.length > 0);
  expect(running.refused[0]).toMatchObject({ refusal: { kind: 'held', forMs: 1_000 } });
  await database.query({ text: 'update slot set held_until = null' });
  for (const slice of must(running.refused[0], 'a refusal').left) running.lane.offer(slice);
  await until('the slot goes on', () => running.applied() === 3n);
  await expectOnce(3);
});

test('what a release let go is published again by who follows a relay that died before, with the same bytes', async () => {
  const order = { order: 'a', account: 'a', currency: 'GBP', lines: [{ sku: 's', quantity: 2, unit_price: '1.00' }] };
  const values = [
    encodeWrite({ type: 'unknown.type', idempotencyKey: 'bad', data: {} }),
    encodeWrite({ type: 'order.place', idempotencyKey: 'order', data: order }),
    releaseRecord({ slot, key: 'demo/a', action: 'skip', id: '1' }).value as Buffer,
  ];
  const records = values.map((value, at) => ({ slot, offset: BigInt(at) as Offset, key: 'demo/a', value: Buffer.from(value), atMs: 1_700_000_000_000 }));
  const first = startLane(database);
  first.lane.offer(sliceOf({ slot, from: 0n as Offset, to: 3n as Offset }, records));
  await until('the start of the order is sent', () => first.sent.length === 1);
  expect(await database.query({ text: `select "offset"::int as at, detail ->> 'released_by' as by from journal where type = 'order.place'` })).toEqual([{ at: 1, by: '2' }]);
  // The order's own offset is behind the relay, its release is not.
  await database.query({ text: `update position set relayed_offset = 2 where stream = 'writes' and slot = $1`, values: [slot] });
  const second = startLane(database);
  second.lane.probe(slot);
  await until('the start of the order is sent again', () => second.sent.length === 1);
  expect(second.sent.map(({ value }) => String(value))).toEqual(first.sent.map(({ value }) => String(value)));
});

test('what a release let go is published again page by page, in its order, before the rows behind it', async () => {
  const behind = RELAY_CATCH_UP_ROWS_MAX + 50;
  const values = [
    encodeWrite({ type: 'unknown.type', idempotencyKey: 'bad', data: {} }),
    ...Array.from({ length: behind }, (_, n) => encodeWrite({ type: 'account.deposit', idempotencyKey: `w${n}`, data: { account: 'a', amount: '1.00', currency: 'GBP' } })),
    releaseRecord({ slot, key: 'demo/a', action: 'skip', id: '1' }).value as Buffer,
  ];
  const records = values.map((value, at) => ({ slot, offset: BigInt(at) as Offset, key: 'demo/a', value: Buffer.from(value), atMs: 1_700_000_000_000 }));
  const first = startLane(database);
  first.lane.offer(sliceOf({ slot, from: 0n as Offset, to: BigInt(records.length) as Offset }, records));
  await until('all is published', () => first.published.length === records.length);
  const last = records.length - 1;
  await database.query({ text: `update position set relayed_offset = $1 where stream = 'writes' and slot = $2`, values: [last, slot] });
  const pages: number[] = [];
  const counting: Database = {
    ...database,
    async query<R>(sql: Sql) {
      const rows = await database.query<R>(sql);
      if (sql.text.includes('from journal')) pages.push(rows.length);
      return rows;
    },
  };
  const second = startLane(counting);
  second.lane.probe(slot);
  await until('all is published again', () => second.published.length === records.length);
  expect(second.published.map(({ value }) => Number(parseOutcome(Buffer.from(value)).offset))).toEqual(records.map((_, at) => at));
  expect(pages).toEqual([1, RELAY_CATCH_UP_ROWS_MAX, 51]);
});

test('what a relay publishes again has the order in which it took effect, so that a receiver that had none of it takes all', async () => {
  const [b = '', c = ''] = Array.from({ length: 40 }, (_, n) => `k${n}`).filter((id) => slotOf(`demo/${id}`, SLOTS) === slot);
  const deposit = (account: string, n: number) => encodeWrite({ type: 'account.deposit', idempotencyKey: `w${n}`, data: { account, amount: '1.00', currency: 'GBP' } });
  const skip = (key: string, id: string) => releaseRecord({ slot, key, action: 'skip', id }).value as Buffer;
  const log: readonly (readonly [key: string, value: string | Buffer])[] = [
    ['demo/a', encodeWrite({ type: 'unknown.type', idempotencyKey: 'bad', data: {} })],
    [`demo/${b}`, encodeWrite({ type: 'unknown.type', idempotencyKey: 'bad', data: {} })],
    [`demo/${c}`, deposit(c, 2)],
    ['demo/a', deposit('a', 3)],
    [`demo/${c}`, deposit(c, 4)],
    ['demo/a', skip('demo/a', '1')],
    [`demo/${c}`, deposit(c, 6)],
    [`demo/${b}`, deposit(b, 7)],
    [`demo/${b}`, skip(`demo/${b}`, '2')],
    [`demo/${c}`, deposit(c, 9)],
  ];
  const records = log.map(([key, value], at) => ({ slot, offset: BigInt(at) as Offset, key, value: Buffer.from(value), atMs: 1_700_000_000_000 }));
  const first = startLane(database);
  first.lane.offer(sliceOf({ slot, from: 0n as Offset, to: BigInt(log.length) as Offset }, records));
  await until('all is published', () => first.published.length === log.length);
  await database.query({ text: `update position set relayed_offset = 0 where stream = 'writes' and slot = $1`, values: [slot] });
  const second = startLane(database);
  second.lane.probe(slot);
  await until('all is published again', () => second.published.length === log.length);
  for (const { published } of [first, second]) {
    const events = published.map(({ value }) => parseOutcome(Buffer.from(value)));
    expect(events.map(({ offset }) => Number(offset))).toEqual([2, 4, 0, 3, 5, 6, 1, 7, 8, 9]);
    expect(events.filter((event, n) => isNewer(event, n === 0 ? undefined : placeOf(must(events[n - 1], 'the one before'))))).toEqual(events);
  }
});

test('what releases let go is found by its index, however many rows the slot has, and whatever the planner believes', async () => {
  const { text, values = [] } = readReleased('writes', { slot, release: 7n as Offset, from: 20_001n as Offset, rowsMax: RELAY_CATCH_UP_ROWS_MAX });
  const plan = await database.transaction(async (tx) => {
    await tx.query({ text: 'set local enable_seqscan = off' });
    const add = (first: number, last: number, detail: string) =>
      tx.query({ text: `insert into journal select $1, 'writes', n, 0, 0, null, 'applied', 'demo/a', 'add', ${detail}, null from generate_series($2::int, $3::int) n`, values: [slot, first, last] });
    await add(1, 20_000, `'{"released_by": "7"}'::jsonb`);
    await tx.query({ text: 'analyze journal' });
    await add(20_001, 40_000, 'null');
    return tx.query<Record<string, string>>({ text: `explain ${text}`, values });
  });
  expect(plan.map((line) => Object.values(line)[0]).join('\n')).toContain('journal_released');
});

test('a turn has no more records than its stream allows', async () => {
  let turns = 0;
  const counting: Database = { ...database, transaction: (work, limits) => ((turns += 1), database.transaction(work, limits)) };
  const running = startLane(counting, { model: { ...writesModel, turnRecordsMax: 4 } });
  running.lane.offer(sliceFrom(0, 10));
  await until('all are applied', () => running.applied() === 10n);
  expect(turns).toBe(3);
});

test('a turn that sends too much is stored by halves, each behind the one before, and no more of them than may wait for Kafka', async () => {
  const each = Math.ceil(TURN_MESSAGES_MAX / 3);
  const message: Message = { stream: 'sagas', key: 'demo/a' as RoutingKey, type: 'toy', idempotencyKey: 'toy', data: {} };
  const sending: StreamModel = {
    ...writesModel,
    command(envelope, at) {
      const command = writesModel.command(envelope, at);
      return 'poison' in command ? command : { ...command, apply: (rows) => ({ ...command.apply(rows), messages: new Array<Message>(each).fill(message) }) };
    },
  };
  const taking = Promise.withResolvers<void>();
  const running = startLane(database, { model: sending, taking: taking.promise });
  running.lane.offer(sliceFrom(0, 12));
  const applied = async (): Promise<number> => Number(must((await database.query<{ next: number }>({ text: `select next_offset::int as next from position where stream = 'writes' and slot = $1`, values: [slot] }))[0], 'a row').next);
  await until('the lane waits for Kafka', async () => running.lane.status().busySinceMs === undefined && (await running.metric('millrace_relay_backlog_turns')) >= RELAY_TURNS_MAX);
  expect(await applied()).toBeLessThanOrEqual(2 * RELAY_TURNS_MAX);
  taking.resolve();
  await until('all are applied', () => running.applied() === 12n);
  await expectOnce(12);
  await until('all is sent', () => running.sent.length === 12 * each);
  expect(await database.query({ text: 'select 1 from parked' })).toEqual([]);
  expect(await running.metric('millrace_parked_total')).toBe(0);
}, 60_000);
