/** Timers over real shards: each is fired once when it is due, by whoever has its slot, and one shard keeps no other waiting. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { KafkaUnavailable, type OutgoingRecord } from '@millrace/kafka';
import { startPostgres, type Postgres } from '@millrace/local-cluster';
import { createDatabase, type Database } from '@millrace/postgres';
import { createLog, createRegistry } from '@millrace/runtime';
import { prepareShard, SHARD_POOL } from '@millrace/slot-processor';
import { until } from '@millrace/testkit';
import { parseWrite } from '@millrace/wire';
import { must, type Offset, type ShardId, type Slot } from '@millrace/write';
import { CLOCKS_APART_MS, FIRE_AGAIN, LOOK_ROWS_MAX } from '../../services/saga-orchestrator/src/limits.ts';
import { createSagaMetrics, type Standing } from '../../services/saga-orchestrator/src/metrics.ts';
import { watchStanding } from '../../services/saga-orchestrator/src/standing.ts';
import { startTimers, type Timers, type TimersInput } from '../../services/saga-orchestrator/src/timers/timers.ts';

const SLOTS = 4;
const [a, b] = ['a', 'b'] as unknown as [ShardId, ShardId];
const log = createLog({ name: 'test', level: 'silent' });
const dir = mkdtempSync(join(tmpdir(), 'millrace-timers-'));
let server: Postgres;
let database: Database;
/** Where nobody listens. */
let down: Database;

beforeAll(async () => {
  server = await startPostgres({ dir, durable: false });
  database = createDatabase({ ...SHARD_POOL, name: 'a', url: server.url, applicationName: 'timers-test', log });
  down = createDatabase({ ...SHARD_POOL, name: 'b', url: 'postgres://nobody@127.0.0.1:1/none', applicationName: 'timers-test', log });
  await prepareShard({ database, identity: { clusterId: '00000000-0000-0000-0000-000000000001', shard: a, slots: SLOTS }, log });
});
afterAll(async () => {
  await Promise.all([database?.end(), down?.end()]);
  await server?.stop();
  rmSync(dir, { recursive: true, force: true });
});

const sent: OutgoingRecord[] = [];
const bugs: unknown[] = [];
let running: Timers[] = [];
beforeEach(async () => {
  sent.length = 0;
  await database.query({ text: 'truncate saga' });
});
afterEach(async () => {
  await Promise.all(running.map((timers) => timers.stop()));
  running = [];
  expect(bugs).toEqual([]);
});

const lanes: TimersInput['lanes'] = {
  async sendMany(records) {
    sent.push(...records);
    return records.map(() => 0n as Offset);
  },
};

function start(over: Partial<TimersInput> = {}) {
  const registry = createRegistry();
  const metrics = createSagaMetrics({ log, registry });
  const onBug = (error: unknown): void => void bugs.push(error);
  running.push(startTimers({ shardIds: () => [a], slotsOn: () => [0, 1] as Slot[], database: () => database, lanes, metrics, log, onBug, ...over }));
  return async (name: string): Promise<number> => {
    const { values } = await must(registry.getSingleMetric(name), name).get();
    return values.reduce((sum, { value }) => sum + value, 0);
  };
}

async function sagas(rows: readonly { readonly slot: number; readonly saga: string; readonly due: number | null; readonly state?: string; readonly started?: number }[]): Promise<void> {
  await database.query({
    text: `insert into saga (slot, key, saga, state, body, due_ms, started_ms, changed_ms)
           select slot, 'demo/' || saga, saga, state, '{}', due, started, started from unnest($1::int[], $2::text[], $3::text[], $4::bigint[], $5::bigint[]) as u(slot, saga, state, due, started)`,
    values: [rows.map(({ slot }) => slot), rows.map(({ saga }) => saga), rows.map(({ state = 'reserving' }) => state), rows.map(({ due }) => due), rows.map(({ started = 0 }) => started)],
  });
}

const fired = (): readonly string[] => sent.map(({ value }) => (parseWrite(Buffer.from(value)) as { data: { saga: string } }).data.saga);
/** So many looks have begun since. */
async function looks(count: number, input: { queries: number }): Promise<void> {
  const from = input.queries;
  await until(`${count} more looks`, () => input.queries >= from + count);
}
function counting(over: Database = database): { queries: number; database: () => Database } {
  const counted = { queries: 0, database: () => ({ ...over, query: ((sql: never) => ((counted.queries += 1), over.query(sql))) as Database['query'] }) };
  return counted;
}

test('a timer that is due is fired once though it still stands, and one that is not is left alone', async () => {
  const nowMs = Date.now();
  await sagas([
    { slot: 0, saga: 'due', due: nowMs - 5_000 },
    { slot: 0, saga: 'early', due: nowMs + 3_600_000 },
    { slot: 1, saga: 'none', due: null, state: 'confirming' },
  ]);
  const counted = counting();
  const metric = start({ database: counted.database });
  await until('it is fired', () => sent.length > 0);
  await looks(3, counted);
  expect(sent.map((record) => ({ ...record, value: parseWrite(Buffer.from(record.value)) }))).toEqual([
    { slot: 0, key: 'demo/due', value: { type: 'saga.timeout', idempotencyKey: expect.stringMatching(new RegExp(`^\u0001due/timeout/${nowMs - 5_000}/\\d+$`)), data: { saga: 'due', due_ms: nowMs - 5_000 } } },
  ]);
  expect(await metric('millrace_saga_timeouts_total')).toBe(1);
});

test('it becomes due as time goes by', async () => {
  let nowMs = 1_000;
  await sagas([{ slot: 0, saga: 'later', due: 2_000 }]);
  const counted = counting();
  start({ database: counted.database, now: () => nowMs });
  await looks(2, counted);
  expect(fired()).toEqual([]);
  // A clock here that is a little ahead of the log's does not make the shot early.
  nowMs = 2_000 + CLOCKS_APART_MS - 1;
  await looks(2, counted);
  expect(fired()).toEqual([]);
  nowMs = 2_000 + CLOCKS_APART_MS;
  await until('it is fired', () => fired().length > 0);
});

test('one that still stands is fired again later, as another record: a shot that was early, or skipped, does not use it up', async () => {
  let nowMs = 10_000;
  await sagas([{ slot: 0, saga: 'early', due: 2_000 }]);
  const counted = counting();
  start({ database: counted.database, now: () => nowMs });
  await until('it is fired', () => sent.length === 1);
  nowMs += FIRE_AGAIN.baseMs;
  await until('it is fired again', () => sent.length === 2);
  const writes = sent.map(({ value }) => parseWrite(Buffer.from(value)) as { idempotencyKey: string; data: unknown });
  expect(new Set(writes.map(({ idempotencyKey }) => idempotencyKey)).size).toBe(2);
  expect(writes.map(({ data }) => data)).toEqual([1, 2].map(() => ({ saga: 'early', due_ms: 2_000 })));
});

test('only the timers of own slots are fired', async () => {
  await sagas([
    { slot: 2, saga: 'other', due: 1 },
    { slot: 1, saga: 'own', due: 2 },
  ]);
  const counted = counting();
  start({ database: counted.database });
  await looks(2, counted);
  expect(fired()).toEqual(['own']);
});

test('a shard that is down keeps its own timers waiting, and no other’s', async () => {
  await sagas([{ slot: 0, saga: 'up', due: 1 }]);
  const metric = start({ shardIds: () => [b, a], database: (shard) => (shard === b ? down : database) });
  await until('the timer of the other shard is fired', () => fired().includes('up'));
  await until('the shard that is down is asked again', async () => (await metric('millrace_saga_timer_failures_total')) >= 2);
  expect(fired()).toEqual(['up']);
});

test('what Kafka does not take is fired again at a later look', async () => {
  await sagas([{ slot: 0, saga: 'again', due: 1 }]);
  let failures = 2;
  const unwilling: TimersInput['lanes'] = { sendMany: async (records) => (failures-- > 0 ? Promise.reject(new KafkaUnavailable('not now')) : lanes.sendMany(records)) };
  start({ lanes: unwilling });
  await until('it is fired', () => fired().length === 1);
  expect(failures).toBe(-1);
});

test('more than a page is fired without a pause, each once, though none of them goes away', async () => {
  const count = 2 * LOOK_ROWS_MAX + 7;
  await sagas(Array.from({ length: count }, (_, n) => ({ slot: n % 2, saga: `s-${n}`, due: 1 + (n % 3) })));
  const counted = counting();
  start({ database: counted.database });
  await until('all are fired', () => sent.length >= count);
  await looks(4, counted);
  expect(sent).toHaveLength(count);
  expect(new Set(fired()).size).toBe(count);
});

test('a drain waits for no shard that does not answer', async () => {
  const silent = { query: () => new Promise<never>(() => undefined) };
  let asked = false;
  start({ database: () => ((asked = true), silent) });
  await until('the shard is asked', () => asked);
  await must(running.pop(), 'it runs').stop();
});

test('open sagas of own slots are counted by state, with the age of the oldest', async () => {
  await sagas([
    { slot: 0, saga: 'r1', due: 9_000, started: 7_000 },
    { slot: 1, saga: 'r2', due: null, started: 5_000 },
    { slot: 1, saga: 'u', due: null, state: 'undoing', started: 6_000 },
    { slot: 0, saga: 'over', due: null, state: 'rejected', started: 1_000 },
    { slot: 3, saga: 'other', due: null, started: 1_000 },
  ]);
  const stopping = new AbortController();
  const seen = Promise.withResolvers<unknown>();
  const metrics = { standing: (_: ShardId, now: Standing) => seen.resolve({ ...now, open: Object.fromEntries(now.open) }), notCounted: (_: ShardId, error: unknown) => seen.reject(error), left: () => undefined };
  const watching = watchStanding({ shardIds: () => [a], slotsOn: () => [0, 1] as Slot[], database: () => database, metrics, signal: stopping.signal });
  expect(await seen.promise).toEqual({ open: { reserving: { sagas: 2, sinceMs: 5_000 }, undoing: { sagas: 1, sinceMs: 6_000 } }, startedMs: 5_000, dueMs: 9_000 });
  stopping.abort(new Error('the test is over'));
  await watching;
});

test('both looks go by their own index, whatever the planner believes of the table', async () => {
  const { readDue } = await import('../../services/saga-orchestrator/src/timers/due.sql.ts');
  const { countOpen } = await import('../../services/saga-orchestrator/src/standing.sql.ts');
  for (const [sql, index] of [[readDue({ slots: [0 as Slot], untilMs: 1, behind: undefined, rowsMax: 10 }), 'saga_due'], [countOpen([0 as Slot]), 'saga_open']] as const) {
    const plan = await database.query<Record<string, string>>({ text: `explain ${sql.text}`, values: sql.values });
    expect(plan.map((line) => Object.values(line)[0]).join('\n')).toMatch(new RegExp(`(Index|Bitmap).*Scan.* ${index}`));
  }
});
