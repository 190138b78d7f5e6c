/**
 * Live moves between two real shards, with real turns of both streams under way all the time.
 *
 * Every test ends the same way: the slot's rows, wherever they are now, are those of a third database to which the same
 * records were applied and where nothing ever moved.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { startPostgres, type Postgres } from '@millrace/local-cluster';
import { createDatabase, type Database } from '@millrace/postgres';
import { slotOf } from '@millrace/ring';
import { createLog } from '@millrace/runtime';
import { prepareShard, releaseRecord, seedSlots, slotTables, type StreamModel } from '@millrace/slot-processor';
import { postgresCommit, startFaultProxy, until } from '@millrace/testkit';
import { encodeWrite } from '@millrace/wire';
import type { Epoch, Offset, ShardId, Slot, Stream } from '@millrace/write';
import { sliceOf } from '../../libs/slot-processor/src/slices.ts';
import { runTurn } from '../../libs/slot-processor/src/turn.ts';
import { driveMove, verifyMove } from '../../services/ring-manager/src/move/drive.ts';
import { GIVE_WAY_MS, RETRY } from '../../services/ring-manager/src/move/limits.ts';
import { OutOfStep } from '../../services/ring-manager/src/move/mover.ts';
import { createPace } from '../../services/ring-manager/src/move/pace.ts';
import { changing } from '../../services/ring-manager/src/move/side.ts';
import { slotStatistics } from '../../services/ring-manager/src/move/statistics.ts';
import { Superseded, VerificationFailed, type DriveInput, type DriveResult, type MoveOrder, type MoveProgress, type MoveWish } from '../../services/ring-manager/src/move/types.ts';
import { writesModel } from '../../services/shard-writer/src/model.ts';

const SLOTS = 4;
const A = 'a' as ShardId;
const B = 'b' as ShardId;
const CLUSTER = '00000000-0000-0000-0000-000000000001';
const dir = mkdtempSync(join(tmpdir(), 'millrace-mover-'));
const log = createLog({ name: 'test', level: 'silent' });
const servers: Postgres[] = [];
let shards: Record<'a' | 'b' | 'reference', Database>;

const keys = Array.from({ length: 400 }, (_, i) => `demo/k${i}`).filter((key) => slotOf(key, SLOTS) === 1);
const slot = 1 as Slot;
const neighbour = 2 as Slot;

/** Stream `sagas`, whose tables come later: it fills the journal, and parks. */
const sagasModel: StreamModel = {
  stream: 'sagas',
  isPublic: () => true,
  tables: [],
  command: ({ type }) => (type === 'saga.bad' ? { poison: 'bad' } : { type, reads: [], apply: () => ({ outcome: 'applied', changes: [] }) }),
};
const models = { writes: writesModel, sagas: sagasModel };

beforeAll(async () => {
  for (const name of ['a', 'b']) servers.push(await startPostgres({ name, dir: join(dir, name), durable: false }));
});
afterAll(async () => {
  for (const server of servers) await server.stop();
  rmSync(dir, { recursive: true, force: true });
});
let ended = new AbortController();
let driving: Promise<unknown>[] = [];
let following: Promise<unknown>[] = [];
beforeEach(async () => {
  [ended, driving, following] = [new AbortController(), [], []];
  // The reference first, so that the types of both shards have different object ids.
  shards = { reference: await freshShard(0, 'reference' as ShardId), a: await freshShard(0, A), b: await freshShard(1, B) };
  await seedSlots(shards.a, { epoch: 1 as Epoch, slots: [slot, neighbour] });
  await seedSlots(shards.b, { epoch: 1 as Epoch, slots: [0, 3] as Slot[] });
  await seedSlots(shards.reference, { epoch: 1 as Epoch, slots: [slot, neighbour] });
});
afterEach(async () => {
  // Of a test that failed in the middle: neither a mover nor a writer goes on.
  ended.abort(new Error('the test is over'));
  await Promise.allSettled([...driving, ...following]);
  await Promise.all(Object.values(shards).map((database) => database.end()));
});

/** A copy of a shard that was prepared once. */
async function freshShard(server: number, shard: ShardId): Promise<Database> {
  const root = connect(servers[server]!.url, 'root');
  const [known] = await root.query<{ found: boolean }>({ text: 'select exists (select from pg_database where datname = $1) as found', values: [`template_${shard}`] });
  if (known?.found !== true) {
    await root.query({ text: `create database template_${shard}` });
    const template = connect(urlOf(server, `template_${shard}`), shard);
    await prepareShard({ database: template, identity: { clusterId: CLUSTER, shard, slots: SLOTS }, log });
    await template.end();
  }
  await root.query({ text: `drop database if exists shard_${shard} with (force)` });
  await root.query({ text: `create database shard_${shard} template template_${shard}` });
  await root.end();
  return connect(urlOf(server, `shard_${shard}`), shard);
}

function urlOf(server: number, database: string): string {
  const url = new URL(servers[server]!.url);
  url.pathname = `/${database}`;
  return url.href;
}

function connect(url: string, name: string): Database {
  return createDatabase({ name, url, applicationName: `test-${name}`, poolMax: 12, statementTimeoutMs: 30_000, idleInTransactionTimeoutMs: 300_000, connectTimeoutMs: 5_000, log });
}

/** The records of the slot, by stream, and whoever applies them. */
function createTraffic() {
  const logs: Record<Stream, { key: string; value: Buffer }[]> = { writes: [], sagas: [] };
  let stopped = false;
  let n = 0;
  const write = (type: string, data: Record<string, unknown>, key: string) =>
    logs.writes.push({ key, value: Buffer.from(encodeWrite({ type, idempotencyKey: `i${n++}`, data })) });
  const saga = (type: string, key: string) => logs.sagas.push({ key, value: Buffer.from(encodeWrite({ type, idempotencyKey: `i${n++}`, data: {} })) });
  const id = (key: string): string => key.slice('demo/'.length);
  const pick = <T>(list: readonly T[], at: number): T => list[at % list.length]!;

  /** Some of every kind: new rows, changed rows, refusals, and a key of each stream that is parked and released again and again. */
  function produce(records: number): void {
    for (let i = 0; i < records; i++) {
      const key = pick(keys.slice(1), n * 7);
      const kind = n % 11;
      if (kind === 0) write('account.open', { account: id(key), currency: 'GBP' }, key);
      else if (kind <= 4) write('account.deposit', { account: id(key), amount: '5.00', currency: 'GBP' }, key);
      else if (kind <= 6) write('payment.capture', { payment: `p${n}`, account: id(key), amount: '0.50', currency: 'GBP' }, key);
      else if (kind <= 8) write('stock.receive', { sku: id(key), quantity: 3 }, key);
      else saga('saga.step', key);
      if (n % 40 === 0) parkAndFill();
      if (n % 40 === 20) release('skip');
    }
  }
  function parkAndFill(): void {
    write('unknown.type', {}, keys[0]!);
    write('account.open', { account: id(keys[0]!), currency: 'GBP' }, keys[0]!);
    write('account.deposit', { account: id(keys[0]!), amount: '1.00', currency: 'GBP' }, keys[0]!);
    saga('saga.bad', keys[0]!);
    saga('saga.step', keys[0]!);
  }
  function release(action: 'skip' | 'retry'): void {
    for (const stream of ['writes', 'sagas'] as const) {
      const record = releaseRecord({ slot, key: keys[0]!, action, id: `r${n++}` });
      logs[stream].push({ key: keys[0]!, value: record.value as Buffer });
    }
  }

  /** One turn of a stream: what is not applied yet, at most `max`. False where the shard does not apply the slot now. */
  async function turn(on: Database, stream: Stream, max = 25): Promise<'applied' | 'idle' | 'refused'> {
    const rows = await on.query<{ next: bigint }>({ text: 'select next_offset as next from position where stream = $1 and slot = $2', values: [stream, slot] });
    const from = Number(rows[0]?.next ?? 0n);
    const records = logs[stream].slice(from, from + max).map((record, i) => ({ ...record, slot, offset: BigInt(from + i) as Offset, atMs: 1_000 + from + i, value: Buffer.from(record.value) }));
    const slices = [sliceOf({ slot, from: BigInt(from) as Offset, to: BigInt(from + records.length) as Offset }, records)];
    const { slots } = await runTurn({ database: on, model: models[stream], slots: SLOTS, slices, relayedOf: () => BigInt(from) as Offset });
    if (slots[0]!.kind !== 'applied') return 'refused';
    return records.length === 0 ? 'idle' : 'applied';
  }

  /** Applies a stream on whichever shard applies the slot, for ever; each shard refuses while it is not its own. */
  async function follow(stream: Stream): Promise<void> {
    while (!stopped && !ended.signal.aborted) {
      for (const shard of [shards.a, shards.b]) {
        const applied = await turn(shard, stream);
        if (stream === 'writes' && applied !== 'refused') produce(20);
      }
    }
  }

  let running: Promise<unknown> | undefined;
  return {
    logs,
    produce,
    parkAndFill,
    release,
    turn,
    start() {
      running = Promise.all([follow('writes'), follow('sagas')]);
      following.push(running);
    },
    async stop() {
      stopped = true;
      await running;
    },
    /** Everything that was produced, applied where the slot is. */
    async settle(on: Database) {
      for (const stream of ['writes', 'sagas'] as const) while ((await turn(on, stream, 500)) === 'applied');
    },
  };
}

const order = (id = 1n, source = A, target = B): MoveOrder => ({ id, slot, source, target });

interface Driven {
  readonly result: Promise<DriveResult>;
  readonly progress: Partial<MoveProgress>;
  readonly phases: string[];
  readonly errors: string[];
}

const published = new Map<Slot, ShardId>();
function drive(options: Partial<DriveInput> & { wishes?: () => MoveWish } = {}): Driven {
  const given = options.order ?? order();
  const progress: Partial<MoveProgress> = {};
  const phases: string[] = [];
  const errors: string[] = [];
  const result = driveMove({
    order: given,
    token: 1n,
    phase: 'planned',
    progress: {},
    database: (shard) => shards[shard as 'a' | 'b'],
    wish: async () => options.wishes?.() ?? 'forward',
    isPublished: async () => published.get(slot) === given.target,
    publish: async () => void published.set(slot, given.target),
    report: async (phase, told) => {
      if (phases.at(-1) !== phase) phases.push(phase);
      if (told.error) errors.push(told.error);
      Object.assign(progress, told);
    },
    pace: createPace({ bytesPerSecondMax: 1e9, duty: 1 / 2 }),
    stallBudgetMs: 250,
    log,
    signal: ended.signal,
    ...options,
  });
  driving.push(result.catch(() => undefined));
  return { result, progress, phases, errors };
}
beforeEach(() => published.clear());

/** The rows of a table of the slot, by primary key. */
async function rowsOf(database: Database, table: string): Promise<readonly string[]> {
  const key = slotTables.find(({ name }) => name === table)!.key.map(({ column }) => `"${column}"`).join(', ');
  const rows = await database.query<{ row: string }>({ text: `select t::text as row from "${table}" t where slot = $1 order by ${key}`, values: [slot] });
  return rows.map(({ row }) => row);
}

/** What an earlier move has left. */
async function leaveOnTarget(): Promise<void> {
  await shards.b.query({ text: `insert into account (slot, key, currency, balance, held) values ($1, 'demo/old', 'GBP', 5, 0)`, values: [slot] });
}

async function countOf(database: Database, table: string): Promise<number> {
  return Number((await database.query<{ n: bigint }>({ text: `select count(*) as n from "${table}" where slot = $1`, values: [slot] }))[0]!.n);
}

async function sideOf(database: Database) {
  return (await database.query<Record<string, unknown>>({ text: 'select state, epoch, moved_to, move, token, held_until from slot where slot = $1', values: [slot] }))[0];
}

type Traffic = ReturnType<typeof createTraffic>;

/** W1: the shard holds exactly what applying the log gives, and the other one nothing. */
async function expectWhole(traffic: Traffic, on: Database, elsewhere: Database): Promise<void> {
  await traffic.stop();
  await traffic.settle(on);
  await traffic.settle(shards.reference);
  for (const { name } of slotTables) {
    expect({ name, rows: await rowsOf(on, name) }).toEqual({ name, rows: await rowsOf(shards.reference, name) });
    expect({ name, rows: await rowsOf(elsewhere, name) }).toEqual({ name, rows: [] });
  }
  for (const database of [on, elsewhere]) {
    for (const table of ['changed', 'incoming']) expect({ table, rows: await countOf(database, table) }).toEqual({ table, rows: 0 });
  }
}

async function loaded(records = 600): Promise<Traffic> {
  const traffic = createTraffic();
  traffic.produce(records);
  await traffic.settle(shards.a);
  return traffic;
}

/** Stops the mover at a step until it is let go: as a process that sleeps, where the step is inside a transaction. */
function pauseAt(name: string) {
  const { promise: reached, resolve: reach } = Promise.withResolvers<void>();
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  let armed = true;
  ended.signal.addEventListener('abort', () => release());
  const onStep = async (step: string): Promise<void> => {
    if (step !== name || !armed) return;
    armed = false;
    reach();
    await released;
  };
  return { onStep, reached, release };
}

/** Kills the mover at a step. */
function dieAt(name: string) {
  return async (step: string): Promise<void> => {
    if (step === name) throw new Error(`died at ${name}`);
  };
}

/** Does something at a step, once. */
function once(name: string, act: () => Promise<unknown>) {
  let done = false;
  return async (step: string): Promise<void> => {
    if (step !== name || done) return;
    done = true;
    await act();
  };
}

/** Lets a hook see only what comes behind a step: the target is emptied in batches before the copy, the source behind it. */
function behind(first: string, hook: (step: string) => Promise<void>) {
  let seen = false;
  return async (step: string): Promise<void> => {
    if (seen) await hook(step);
    seen ||= step === first;
  };
}

const FORWARD_STEPS = ['claim', 'prepare', 'open', 'opening', 'copy', 'chunk', 'check', 'round', 'fence', 'fenced', 'activate', 'publish', 'purge', 'purge batch', 'done'];
const BACK = order(2n, B, A);

describe('a move', () => {
  test('brings every row over while turns of both streams go on, and leaves nothing behind', async () => {
    const traffic = await loaded();
    traffic.start();
    const { result, progress, phases } = drive();
    expect(await result).toBe('done');
    expect(await sideOf(shards.a)).toMatchObject({ state: 'MOVED', moved_to: B, move: 1n, epoch: 1n });
    expect(await sideOf(shards.b)).toMatchObject({ state: 'ACTIVE', moved_to: null, move: 1n, epoch: 2n });
    await expectWhole(traffic, shards.b, shards.a);
    expect(phases).toEqual(['preparing', 'copying', 'checking', 'catching_up', 'fenced', 'activated', 'purging', 'done']);
    expect(progress).toMatchObject({ error: null, rows: expect.any(Number), rounds: expect.any(Number), stallMs: expect.any(Number) });
    expect(progress.tables!.map(({ table }) => table).sort()).toEqual(slotTables.map(({ name }) => name).sort());
  });

  test('of an empty slot is a move as well', async () => {
    const traffic = createTraffic();
    expect(await drive().result).toBe('done');
    traffic.produce(50);
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('goes away, back and away again, each time with a higher epoch, under one token', async () => {
    const traffic = await loaded(300);
    traffic.start();
    expect(await drive().result).toBe('done');
    expect(await drive({ order: BACK }).result).toBe('done');
    expect(await sideOf(shards.a)).toMatchObject({ state: 'ACTIVE', epoch: 3n });
    expect(await drive({ order: order(3n) }).result).toBe('done');
    expect(await sideOf(shards.b)).toMatchObject({ state: 'ACTIVE', epoch: 4n });
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('does not disturb the neighbour, and its slot keeps its relay positions', async () => {
    const traffic = await loaded(200);
    await shards.a.query({ text: `insert into account (slot, key, currency, balance, held) values ($1, 'demo/n', 'GBP', 5, 0)`, values: [neighbour] });
    await shards.a.query({ text: 'update position set relayed_offset = next_offset - 1 where slot = $1 and next_offset > 0', values: [slot] });
    const before = await shards.a.query({ text: 'select stream, next_offset, relayed_offset from position where slot = $1 order by stream', values: [slot] });
    expect(await drive().result).toBe('done');
    expect(await shards.b.query({ text: 'select stream, next_offset, relayed_offset from position where slot = $1 order by stream', values: [slot] })).toEqual(before);
    expect(await shards.a.query({ text: 'select key from account where slot = $1', values: [neighbour] })).toHaveLength(1);
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('takes along what a release writes behind the cursors while the slot is MOVING', async () => {
    const traffic = await loaded(100);
    traffic.release('skip');
    traffic.parkAndFill();
    await traffic.settle(shards.a);
    expect(await countOf(shards.a, 'parked')).toBeGreaterThan(0);
    const { onStep, reached, release } = pauseAt('check');
    const { result } = drive({ onStep });
    await reached;
    traffic.release('skip');
    await traffic.settle(shards.a);
    expect(await countOf(shards.a, 'parked')).toBe(0);
    expect((await shards.a.query({ text: `select from changed where slot = $1 and "table" = 'journal'`, values: [slot] })).length).toBeGreaterThan(0);
    release();
    expect(await result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('replaces what an earlier move left on the target', async () => {
    const traffic = await loaded(200);
    await leaveOnTarget();
    expect(await drive().result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('holds the slot for moments where rounds do not shrink, and gets through at any write rate', async () => {
    const traffic = await loaded();
    traffic.start();
    let held = 0;
    const onStep = async (name: string): Promise<void> => {
      if ((name === 'round' || name === 'fence') && (await sideOf(shards.a))?.['held_until'] !== null) held += 1;
    };
    // No round fits such a budget.
    expect(await drive({ stallBudgetMs: 1, onStep }).result).toBe('done');
    expect(held).toBeGreaterThan(0);
    expect(await sideOf(shards.a)).toMatchObject({ held_until: null });
    await expectWhole(traffic, shards.b, shards.a);
  });
});

test('a slot that is written faster than its target can take it moves all the same', async () => {
  const traffic = await loaded();
  await shards.b.query({ text: `create function crawl() returns trigger language plpgsql as 'begin perform pg_sleep(0.0003); return new; end'; create trigger crawl before insert on journal for each row execute function crawl()` });
  traffic.start();
  let held = 0;
  const onStep = async (name: string): Promise<void> => {
    if (name === 'round' && (await sideOf(shards.a))?.['held_until'] !== null) held += 1;
    if (name === 'publish') await shards.b.query({ text: 'drop function crawl cascade' });
  };
  expect(await drive({ onStep }).result).toBe('done');
  expect(held).toBeGreaterThan(0);
  await expectWhole(traffic, shards.b, shards.a);
}, 300_000);

test('a fence whose last delta has grown too large behind the locks is put off for another round', async () => {
  const traffic = await loaded(100);
  const steps: string[] = [];
  const onStep = async (step: string): Promise<void> => {
    steps.push(step);
    // Each record of the first round takes so long that a thousand of them would never fit the budget.
    if (step === 'check') {
      traffic.produce(20);
      await traffic.settle(shards.a);
    }
    if (step === 'round') await new Promise((resolve) => setTimeout(resolve, 300));
    if (step !== 'fence' || steps.filter((name) => name === 'fence').length > 1) return;
    traffic.produce(1_000);
    await traffic.settle(shards.a);
  };
  expect(await drive({ stallBudgetMs: 4_000, onStep }).result).toBe('done');
  expect(steps.filter((step) => step === 'fence').length).toBeGreaterThan(1);
  expect(steps.filter((step) => step === 'fenced')).toHaveLength(1);
  await expectWhole(traffic, shards.b, shards.a);
});

test('what has grown since it was compared is not compared whole inside the fence', async () => {
  const traffic = await loaded(100);
  const { result, progress } = drive({
    onStep: once('fence', async () => {
      traffic.produce(5_500);
      await traffic.settle(shards.a);
    }),
  });
  expect(await result).toBe('done');
  const inFence = progress.tables!.filter(({ when }) => when === 'in_fence').map(({ table }) => table);
  expect(inFence).not.toContain('journal');
  expect(inFence).toContain('orders');
  await expectWhole(traffic, shards.b, shards.a);
});

test('a change of state does not sleep over the locks that it holds', async () => {
  const setting = await changing(shards.a, (tx) => tx.query<Record<string, string>>({ text: 'show idle_in_transaction_session_timeout' }));
  expect(setting).toEqual([{ idle_in_transaction_session_timeout: '2s' }]);
});

describe('a target that lost its disk', () => {
  const lose = async (): Promise<void> => {
    for (const table of [...slotTables.map(({ name }) => name), 'incoming', 'position', 'slot']) await shards.b.query({ text: `delete from "${table}" where slot = $1`, values: [slot] });
  };

  test.each(['chunk', 'fenced'])('at step `%s` lets the move stand until it is aborted, and the slot returns', async (step) => {
    const traffic = await loaded(300);
    traffic.start();
    await expect(drive({ onStep: dieAt(step) }).result).rejects.toThrow('died');
    await lose();
    await expect(drive({ token: 2n }).result).rejects.toThrow('abort the move');
    expect(await drive({ token: 2n, wishes: () => 'abort' }).result).toBe('aborted');
    expect(await sideOf(shards.a)).toMatchObject({ state: 'ACTIVE', epoch: 3n, move: null });
    expect(await sideOf(shards.b)).toMatchObject({ state: 'ABORTED', epoch: 2n, move: 1n });
    await expectWhole(traffic, shards.a, shards.b);
  });

  test('behind the claim is claimed anew', async () => {
    const traffic = await loaded(100);
    const { result, errors } = drive({ onStep: once('prepare', lose) });
    expect(await result).toBe('done');
    expect(errors.join()).toContain('has no row after a claim');
    await expectWhole(traffic, shards.b, shards.a);
  });
});

describe('a mover that takes over', () => {
  test.each([true, false])('behind the fence tells the stall from when its predecessor has told the fence: %s', async (told) => {
    const traffic = await loaded(100);
    const first = drive({ onStep: dieAt('fenced') });
    await expect(first.result).rejects.toThrow('died');
    expect(first.phases.at(-1)).toBe('fenced');
    const fencedAt = new Date(Date.now() - 60_000).toISOString();
    const { result, progress, phases } = drive({ token: 2n, phase: 'fenced', progress: told ? { fencedAt } : {} });
    expect(await result).toBe('done');
    expect(phases).toEqual(['fenced', 'activated', 'purging', 'done']);
    if (told) expect(progress.stallMs).toBeGreaterThanOrEqual(60_000);
    else expect(progress.stallMs).toBeUndefined();
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('and finds no shard tells nothing that lies behind what is stored', async () => {
    await loaded(20);
    const { result, phases } = drive({ phase: 'checking', onStep: () => Promise.reject(new OutOfStep('nothing answers')) });
    await expect(result).rejects.toThrow('nothing answers');
    expect(phases).toEqual(['checking']);
  });
});

describe('R5 a mover that dies', () => {
  test.each(FORWARD_STEPS)('at step `%s` is followed by another, and nothing is lost or doubled', async (step) => {
    const traffic = await loaded(300);
    traffic.start();
    await expect(drive({ onStep: dieAt(step) }).result).rejects.toThrow(`died at ${step}`);
    expect(await drive({ token: 2n }).result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });

  test.each(FORWARD_STEPS.filter((step) => step !== 'activate' && step !== 'fenced'))('or sleeps at step `%s` changes nothing when it wakes, even if the slot is back', async (step) => {
    const traffic = await loaded(300);
    traffic.start();
    const sleeper = pauseAt(step);
    const first = drive({ onStep: sleeper.onStep });
    await sleeper.reached;
    expect(await drive({ token: 2n }).result).toBe('done');
    published.clear();
    expect(await drive({ token: 2n, order: BACK }).result).toBe('done');
    sleeper.release();
    if (step === 'done') expect(await first.result).toBe('done');
    else await expect(first.result).rejects.toThrow(Superseded);
    await expectWhole(traffic, shards.a, shards.b);
  });

  test.each(['fenced', 'activate'])('or sleeps inside its transaction at step `%s` is ended by its successor, which waits for the row that it holds', async (step) => {
    const traffic = await loaded(300);
    traffic.start();
    const sleeper = pauseAt(step);
    const first = drive({ onStep: sleeper.onStep });
    await sleeper.reached;
    expect(await drive({ token: 2n }).result).toBe('done');
    sleeper.release();
    await expect(first.result).rejects.toThrow(Superseded);
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('in the middle of purging the source is followed by another', async () => {
    const traffic = await loaded();
    let batches = 0;
    const die = behind('purge', async (step) => {
      if (step === 'purge batch' && (batches += 1) === 3) throw new Error('died purging');
    });
    await expect(drive({ onStep: die }).result).rejects.toThrow('died purging');
    expect(await drive({ token: 2n }).result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('or sleeps before it purges takes nothing from a source that has the slot again', async () => {
    const traffic = await loaded(300);
    const sleeper = pauseAt('purge batch');
    const first = drive({ onStep: behind('purge', sleeper.onStep) });
    await sleeper.reached;
    expect(await drive({ token: 2n }).result).toBe('done');
    published.clear();
    expect(await drive({ token: 2n, order: BACK }).result).toBe('done');
    sleeper.release();
    await expect(first.result).rejects.toThrow(Superseded);
    await expectWhole(traffic, shards.a, shards.b);
  });

  test('or loses its lease in the middle of a chunk leaves the chunk behind', async () => {
    const traffic = await loaded();
    const sleeper = pauseAt('chunk');
    const first = drive({ onStep: sleeper.onStep });
    await sleeper.reached;
    expect(await drive({ token: 2n, wishes: () => 'abort' }).result).toBe('aborted');
    sleeper.release();
    await expect(first.result).rejects.toThrow(Superseded);
    await expectWhole(traffic, shards.a, shards.b);
  });

  test('of one leader, doubled: each sees that the other has gone on, and none does a step twice', async () => {
    const traffic = await loaded(300);
    traffic.start();
    const sleeper = pauseAt('chunk');
    const first = drive({ onStep: sleeper.onStep });
    await sleeper.reached;
    const second = drive({ onStep: once('check', async () => sleeper.release()) });
    expect(await Promise.all([first.result, second.result])).toEqual(['done', 'done']);
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('of one leader, asleep before it empties the target, does not take what was copied meanwhile', async () => {
    const traffic = await loaded(300);
    await leaveOnTarget();
    const sleeper = pauseAt('purge batch');
    const first = drive({ onStep: sleeper.onStep });
    await sleeper.reached;
    const next = pauseAt('check');
    const second = drive({ onStep: next.onStep });
    await next.reached;
    sleeper.release();
    await until('the first has found the other', () => first.errors.length > 0);
    expect(await countOf(shards.b, 'account')).toBe(await countOf(shards.a, 'account'));
    next.release();
    expect(await Promise.all([first.result, second.result])).toEqual(['done', 'done']);
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('of one leader, asleep before it rejects a target that is activated meanwhile, comes too late', async () => {
    const traffic = await loaded(100);
    let wish: MoveWish = 'forward';
    const sleeper = pauseAt('reject');
    const first = drive({ wishes: () => wish, onStep: async (step) => (step === 'check' ? void (wish = 'abort') : sleeper.onStep(step)) });
    await sleeper.reached;
    expect(await drive().result).toBe('done');
    sleeper.release();
    expect(await first.result).toBe('done');
    expect(await sideOf(shards.b)).toMatchObject({ state: 'ACTIVE' });
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('of one leader, asleep over an abort and a new move, finds the new move in the row', async () => {
    const traffic = await loaded(300);
    traffic.start();
    const sleeper = pauseAt('chunk');
    const first = drive({ onStep: sleeper.onStep });
    await sleeper.reached;
    expect(await drive({ wishes: () => 'abort' }).result).toBe('aborted');
    const next = pauseAt('chunk');
    const second = drive({ order: order(3n), onStep: next.onStep });
    await next.reached;
    sleeper.release();
    await expect(first.result).rejects.toThrow('the target has a later move');
    expect(await countOf(shards.b, 'journal')).toBe(0);
    next.release();
    expect(await second.result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('an older token is refused from the start, also where the target has no row yet', async () => {
    await loaded(20);
    expect(await drive({ token: 5n, wishes: () => 'abort' }).result).toBe('aborted');
    await expect(drive({ token: 4n }).result).rejects.toThrow(Superseded);
    expect(await sideOf(shards.b)).toMatchObject({ state: 'ABORTED', token: 5n });
    expect(await sideOf(shards.a)).toMatchObject({ state: 'ACTIVE', token: 5n });
  });
});

describe('a change of state on the source waits for whoever holds a position', () => {
  /** A turn of a stream that has begun, as it looks from outside. */
  async function hold(stream: Stream): Promise<() => Promise<void>> {
    const held = Promise.withResolvers<void>();
    const over = Promise.withResolvers<void>();
    const turn = shards.a.transaction(async (tx) => {
      await tx.query({ text: 'select from position where stream = $1 and slot = $2 for update', values: [stream, slot] });
      held.resolve();
      await over.promise;
    });
    await held.promise;
    ended.signal.addEventListener('abort', () => over.resolve());
    return async () => {
      over.resolve();
      await turn;
    };
  }
  const waits = () => until('somebody waits for a lock', async () => (await shards.a.query({ text: `select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()` })).length > 0);

  test.each([
    ['writes', 'opening', 'ACTIVE'],
    ['sagas', 'opening', 'ACTIVE'],
    ['writes', 'fence', 'MOVING'],
    ['sagas', 'fence', 'MOVING'],
    ['writes', 'reactivate', 'MOVING'],
    ['sagas', 'reactivate', 'MOVING'],
  ] as const)('of stream %s: at step `%s` it stays %s', async (stream, step, state) => {
    const traffic = await loaded(100);
    let wish: MoveWish = 'forward';
    let end: (() => Promise<void>) | undefined;
    const reached = Promise.withResolvers<void>();
    const { result } = drive({
      wishes: () => wish,
      onStep: async (name) => {
        if (name === 'check' && step === 'reactivate') wish = 'abort';
        if (name !== step || end) return;
        end = await hold(stream);
        reached.resolve();
      },
    });
    await reached.promise;
    expect(await Promise.race([waits(), result])).toBe(true);
    expect(await sideOf(shards.a)).toMatchObject({ state });
    await end!();
    expect(await result).toBe(step === 'reactivate' ? 'aborted' : 'done');
    await expectWhole(traffic, ...(step === 'reactivate' ? ([shards.a, shards.b] as const) : ([shards.b, shards.a] as const)));
  });
});

describe('an abort', () => {
  test.each(['prepare', 'open', 'opening', 'copy', 'chunk', 'check', 'round', 'fence'])('at step `%s` gives the slot back as it was', async (step) => {
    const traffic = await loaded(300);
    traffic.start();
    let wish: MoveWish = 'forward';
    const turned = await drive({ wishes: () => wish, onStep: once(step, async () => void (wish = 'abort')) }).result;
    // Asked once more only where the step has not begun: the last of them may be past the point.
    expect(turned).toBe('aborted');
    expect(await sideOf(shards.a)).toMatchObject({ state: 'ACTIVE', moved_to: null });
    await expectWhole(traffic, shards.a, shards.b);
  });

  test('between fence and activation gives the slot back under a higher epoch', async () => {
    const traffic = await loaded(300);
    traffic.start();
    await expect(drive({ onStep: dieAt('fenced') }).result).rejects.toThrow('died');
    expect(await sideOf(shards.a)).toMatchObject({ state: 'MOVED', moved_to: B });
    expect(await drive({ token: 2n, wishes: () => 'abort' }).result).toBe('aborted');
    expect(await sideOf(shards.a)).toMatchObject({ state: 'ACTIVE', epoch: 3n, move: null });
    expect(await sideOf(shards.b)).toMatchObject({ state: 'ABORTED', epoch: 2n });
    await expectWhole(traffic, shards.a, shards.b);
  });

  test.each(['reject', 'reactivate', 'clear', 'purge batch', 'aborted'])('that dies at step `%s` is completed, whatever is wished by then', async (step) => {
    const traffic = await loaded(300);
    traffic.start();
    await expect(drive({ onStep: dieAt('fenced') }).result).rejects.toThrow('died');
    await expect(drive({ token: 2n, wishes: () => 'abort', onStep: dieAt(step) }).result).rejects.toThrow(`died at ${step}`);
    expect(await drive({ token: 3n, wishes: () => (step === 'reject' ? 'abort' : 'forward') }).result).toBe('aborted');
    await expectWhole(traffic, shards.a, shards.b);
  });

  test('after the activation comes too late: the move goes forward', async () => {
    const traffic = await loaded(300);
    traffic.start();
    let wish: MoveWish = 'forward';
    expect(await drive({ wishes: () => wish, onStep: once('publish', async () => void (wish = 'abort')) }).result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('leaves the way free for the next move', async () => {
    const traffic = await loaded(300);
    traffic.start();
    let wish: MoveWish = 'forward';
    expect(await drive({ wishes: () => wish, onStep: once('check', async () => void (wish = 'abort')) }).result).toBe('aborted');
    expect(await drive({ order: order(2n) }).result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });
});

describe('a pause', () => {
  test.each(['chunk', 'check', 'purge batch'])('at step `%s` leaves the move where it is, until it goes on', async (step) => {
    const traffic = await loaded(300);
    traffic.start();
    let wish: MoveWish = 'forward';
    const pause = once(step, async () => void (wish = 'pause'));
    expect(await drive({ wishes: () => wish, onStep: pause }).result).toBe('paused');
    expect(await drive({ wishes: () => 'pause' }).result).toBe('paused');
    expect(await drive().result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('never lies between fence and activation', async () => {
    const traffic = await loaded(300);
    await expect(drive({ onStep: dieAt('fenced') }).result).rejects.toThrow('died');
    expect(await drive({ token: 2n, wishes: () => 'pause' }).result).toBe('paused');
    expect(await sideOf(shards.b)).toMatchObject({ state: 'ACTIVE' });
    expect(published.get(slot)).toBe(B);
    expect(await drive({ token: 2n }).result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });
});

describe('a copy that is not equal does not activate', () => {
  const plants: Record<string, string> = {
    'a changed row': `update account set balance = balance + 1 where slot = 1 and key = (select max(key) from account where slot = 1)`,
    'values that two rows have exchanged': `with two as (select key, balance, row_number() over (order by balance) as n, count(*) over () as of from account where slot = 1)
      update account a set balance = other.balance from two mine join two other on other.n = mine.of + 1 - mine.n where a.slot = 1 and mine.key = a.key and mine.n in (1, mine.of)`,
    'a missing row': `delete from payment where slot = 1 and payment = (select max(payment) from payment where slot = 1)`,
    'a row too much': `insert into stock (slot, key, on_hand, reserved) values (1, 'demo/zzz', 1, 0)`,
    'a changed journal row': `update journal set body_hash = body_hash + 1 where slot = 1 and stream = 'sagas' and "offset" = (select max("offset") from journal where slot = 1 and stream = 'sagas')`,
  };

  test.each(Object.keys(plants))('%s, before the ranges are compared', async (what) => {
    const traffic = await loaded();
    const { result } = drive({ onStep: once('check', () => shards.b.query({ text: plants[what]! })) });
    await expect(result).rejects.toThrow(VerificationFailed);
    expect(await sideOf(shards.a)).toMatchObject({ state: 'MOVING' });
    expect(await sideOf(shards.b)).toMatchObject({ state: 'INCOMING' });
    expect(await drive({ wishes: () => 'abort' }).result).toBe('aborted');
    await expectWhole(traffic, shards.a, shards.b);
  });

  test.each(Object.keys(plants))('%s in a small table, after they were compared', async (what) => {
    const traffic = await loaded();
    const { result } = drive({ onStep: once('fence', () => shards.b.query({ text: plants[what]! })) });
    await expect(result).rejects.toThrow(VerificationFailed);
    expect(await sideOf(shards.b)).toMatchObject({ state: 'INCOMING' });
    expect(await drive({ wishes: () => 'abort' }).result).toBe('aborted');
    await expectWhole(traffic, shards.a, shards.b);
  });

  /** More rows than a fence compares as a whole. */
  const enlarge = async (): Promise<void> => {
    for (const database of [shards.a, shards.reference]) {
      await database.query({ text: `insert into account select 1, 'demo/large' || g, 'GBP', g, 0 from generate_series(1, 6000) g` });
    }
  };

  test('a changed row of a large table', async () => {
    const traffic = await loaded(100);
    await enlarge();
    await expect(drive({ onStep: once('check', () => shards.b.query({ text: plants['a changed row']! })) }).result).rejects.toThrow(VerificationFailed);
    expect(await drive({ wishes: () => 'abort' }).result).toBe('aborted');
    await expectWhole(traffic, shards.a, shards.b);
  });

  test.each(['round', 'fence'])('a row of a large table that the target changes as it stores it, in the delta after step `%s`', async (step) => {
    const traffic = await loaded();
    await enlarge();
    const spoil = `create function spoil() returns trigger language plpgsql as 'begin new.balance = new.balance + 1; return new; end';
                   create trigger spoil before insert on account for each row execute function spoil()`;
    const { result } = drive({
      onStep: async (name) => {
        // Behind the comparison of the ranges: what follows is compared by the delta alone.
        if (name !== step || !(await isChecked())) return;
        await shards.b.query({ text: spoil }).catch(() => undefined);
        traffic.produce(60);
        await traffic.settle(shards.a);
      },
    });
    await expect(result).rejects.toThrow(VerificationFailed);
    await shards.b.query({ text: 'drop function spoil cascade' });
    expect(await drive({ wishes: () => 'abort' }).result).toBe('aborted');
    await expectWhole(traffic, shards.a, shards.b);
  });

  async function isChecked(): Promise<boolean> {
    const rows = await shards.b.query({ text: `select 1 from incoming where slot = $1 and progress->'stage'->>'kind' = 'rounds'`, values: [slot] });
    return rows.length > 0;
  }

  test('a row that the target refuses', async () => {
    const traffic = await loaded(200);
    await shards.b.query({ text: 'alter table stock add constraint few check (on_hand < 1)' });
    await expect(drive().result).rejects.toThrow(VerificationFailed);
    await shards.b.query({ text: 'alter table stock drop constraint few' });
    expect(await drive({ wishes: () => 'abort' }).result).toBe('aborted');
    await expectWhole(traffic, shards.a, shards.b);
  });

  test('a journal row above the position', async () => {
    const traffic = await loaded(5_500);
    const extra = `insert into journal (slot, stream, "offset", body_hash, at_ms, outcome, key, type) values (1, 'writes', 999999, 1, 1, 'applied', 'k', 't')`;
    await expect(drive({ onStep: once('fence', () => shards.b.query({ text: extra })) }).result).rejects.toThrow(VerificationFailed);
    expect(await drive({ wishes: () => 'abort' }).result).toBe('aborted');
    await expectWhole(traffic, shards.a, shards.b);
  });
});

describe('a link that fails', () => {
  test.each([
    ['source', 'fence'],
    ['target', 'activate'],
    ['source', 'open'],
    ['target', 'chunk'],
    ['target', 'prepare'],
    ['source', 'purge batch'],
  ] as const)('W5 a commit on the %s without an answer at step `%s` is read again', async (side, step) => {
    const traffic = await loaded(300);
    traffic.start();
    const shard = side === 'source' ? 0 : 1;
    const proxy = await startFaultProxy({ host: '127.0.0.1', port: servers[shard]!.port });
    const url = new URL(servers[shard]!.url);
    url.port = String(proxy.port);
    url.pathname = `/shard_${side === 'source' ? 'a' : 'b'}`;
    const viaProxy = connect(url.href, 'via proxy');
    let lost = 0;
    const { result, errors, progress } = drive({
      database: (id) => (id === (side === 'source' ? A : B) ? viaProxy : shards[id as 'a' | 'b']),
      onStep: once(step, async () => void proxy.loseNextReply(postgresCommit).then(() => (lost += 1))),
    });
    expect(await result).toBe('done');
    expect(lost).toBe(1);
    expect(errors.length).toBeGreaterThan(0);
    // When a fence was committed that nobody got the answer of, nobody can say.
    expect(progress.stallMs).toEqual(step === 'fence' ? undefined : expect.any(Number));
    await viaProxy.end();
    await proxy.close();
    await expectWhole(traffic, shards.b, shards.a);
  });

  test.each([0, 1])('is waited for, and the move goes on from where it was', async (shard) => {
    const traffic = await loaded(300);
    const proxy = await startFaultProxy({ host: '127.0.0.1', port: servers[shard]!.port });
    const url = new URL(servers[shard]!.url);
    url.port = String(proxy.port);
    url.pathname = `/shard_${shard === 0 ? 'a' : 'b'}`;
    const viaProxy = connect(url.href, 'via proxy');
    const driven = drive({
      database: (id) => (id === (shard === 0 ? A : B) ? viaProxy : shards[id as 'a' | 'b']),
      onStep: once('check', async () => {
        proxy.setRefusing(true);
        proxy.cut();
      }),
    });
    await until('the mover has tried in vain', () => driven.errors.length >= 2);
    proxy.setRefusing(false);
    expect(await driven.result).toBe('done');
    expect(driven.progress.error).toBeNull();
    await viaProxy.end();
    await proxy.close();
    await expectWhole(traffic, shards.b, shards.a);
  });
});

describe('a shard that is down', () => {
  const proxyTo = async (shard: 0 | 1) => {
    const proxy = await startFaultProxy({ host: '127.0.0.1', port: servers[shard]!.port });
    const url = new URL(servers[shard]!.url);
    url.port = String(proxy.port);
    url.pathname = `/shard_${'ab'[shard]!}`;
    const via = connect(url.href, 'via proxy');
    const database = (id: ShardId): Database => (id === [A, B][shard] ? via : shards[id as 'a' | 'b']);
    const down = (): void => (proxy.setRefusing(true), proxy.cut());
    return { database, down, up: () => proxy.setRefusing(false), end: async () => (await via.end(), await proxy.close()) };
  };

  test('keeps no place from other moves: the mover gives way', async () => {
    const traffic = await loaded(100);
    const { database, down, up, end } = await proxyTo(1);
    const { result } = drive({ database, onStep: once('check', async () => down()) });
    await expect(result).rejects.toThrow(expect.objectContaining({ kind: 'infrastructure' }));
    up();
    expect(await drive().result).toBe('done');
    await end();
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('is asked again and again behind the fence, and the move shows where it stands', async () => {
    const traffic = await loaded(100);
    const { database, down, up, end } = await proxyTo(1);
    const { result, errors, phases, progress } = drive({ database, onStep: once('fenced', async () => down()) });
    await until('it has failed', () => errors.length > 0);
    const sinceMs = performance.now();
    await until('it has tried for longer than before a fence', () => performance.now() - sinceMs > GIVE_WAY_MS + RETRY.maxMs);
    expect(phases.at(-1)).toBe('fenced');
    expect(progress.fencedAt).toEqual(expect.any(String));
    up();
    expect(await result).toBe('done');
    await end();
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('does not keep a move from resting', async () => {
    const traffic = await loaded(100);
    const { database, down, end } = await proxyTo(1);
    await expect(drive({ onStep: dieAt('check') }).result).rejects.toThrow('died');
    down();
    expect(await drive({ database, token: 2n, wishes: () => 'pause' }).result).toBe('paused');
    expect(await sideOf(shards.a)).toMatchObject({ state: 'MOVING', token: 2n });
    await end();
    expect(await drive({ token: 3n }).result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });
});

describe('a comparison on demand', () => {
  const verify = () => verifyMove({ order: order(), database: (shard) => shards[shard as 'a' | 'b'] });

  test('runs while the move and the turns go on, and names the first keys that differ', async () => {
    const traffic = await loaded();
    traffic.start();
    const { onStep, reached, release } = pauseAt('fence');
    const { result } = drive({ onStep });
    await reached;
    const equal = await verify();
    expect(equal).toMatchObject({ verified: true, note: undefined });
    expect(equal.tables.map(({ table, differences }) => ({ table, differences }))).toEqual(slotTables.map(({ name }) => ({ table: name, differences: [] })));
    expect(equal.tables[0]!.rows).toBeGreaterThan(100n);
    await shards.b.query({ text: `update account set held = held + 1 where slot = 1 and key = (select min(key) from account where slot = 1)` });
    await shards.b.query({ text: `delete from journal where slot = 1 and stream = 'sagas' and "offset" = (select min("offset") from journal where slot = 1 and stream = 'sagas')` });
    await shards.b.query({ text: `insert into orders (slot, key, account, currency, total, lines) values (1, 'demo/x', 'a', 'GBP', 1, '[]')` });
    const differing = await verify();
    expect(differing.verified).toBe(false);
    const found = Object.fromEntries(differing.tables.map(({ table, differences }) => [table, differences]));
    expect(found['journal']).toEqual([{ key: ['sagas', expect.any(String)], on: 'source' }]);
    expect(found['orders']).toEqual([{ key: ['demo/x'], on: 'target' }]);
    // Where a turn changes the account all the time, it may be one that is left out.
    expect(found['account']!.every(({ on }) => on === 'both')).toBe(true);
    release();
    await expect(result).rejects.toThrow(VerificationFailed);
    expect(await drive({ wishes: () => 'abort' }).result).toBe('aborted');
    await expectWhole(traffic, shards.a, shards.b);
  });

  test('says what it cannot compare', async () => {
    const traffic = await loaded(200);
    traffic.parkAndFill();
    await traffic.settle(shards.a);
    expect(await verify()).toMatchObject({ verified: false, tables: [], note: expect.stringContaining('not begun') });
    const begun = pauseAt('chunk');
    const driven = drive({ onStep: async (step) => (await begun.onStep(step), await active.onStep(step)) });
    const active = pauseAt('publish');
    await begun.reached;
    expect((await verify()).note).toContain('copied so far');
    begun.release();
    await active.reached;
    expect(await verify()).toMatchObject({ verified: true, note: expect.stringContaining('applied nothing since') });
    // Writes journal rows below the fence, which the source never had.
    traffic.release('skip');
    traffic.produce(100);
    await traffic.settle(shards.b);
    const later = await verify();
    expect(later).toMatchObject({ verified: true, note: expect.stringContaining('only the journal') });
    expect(later.tables.map(({ table }) => table)).toEqual(['journal']);
    active.release();
    expect(await driven.result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });
});

test('the statistics of a shard share its rows and bytes out by what its slots have applied', async () => {
  await loaded();
  const [moved, other] = await slotStatistics(shards.a);
  expect(moved).toMatchObject({ slot });
  expect(moved!.rows).toBeGreaterThan(300n);
  expect(moved!.bytes).toBeGreaterThan(10_000n);
  expect(other).toEqual({ slot: neighbour, rows: 0n, bytes: 0n });
});
