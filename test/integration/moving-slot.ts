/**
 * A slot that moves between two real shards, for tests, with real turns of both streams under way all the time.
 *
 * Every test ends the same way: the slot's rows, wherever they are now, are those of a third database to which the same
 * records were applied and where nothing ever moved.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from '@jest/globals';
import { startPostgres, type Postgres } from '@millrace/local-cluster';
import { createDatabase, type Database } from '@millrace/postgres';
import { slotOf } from '@millrace/ring';
import { createLog } from '@millrace/runtime';
import { prepareShard, releaseRecord, seedSlots, slotTables, type StreamModel } from '@millrace/slot-processor';
import { encodeWrite } from '@millrace/wire';
import type { Epoch, Offset, ShardId, Slot, Stream } from '@millrace/write';
import { sliceOf } from '../../libs/slot-processor/src/slices.ts';
import { runTurn } from '../../libs/slot-processor/src/turn.ts';
import { driveMove } from '../../services/ring-manager/src/move/drive.ts';
import { createPace } from '../../services/ring-manager/src/move/pace.ts';
import type { DriveInput, DriveResult, MoveOrder, MoveProgress, MoveWish } from '../../services/ring-manager/src/move/types.ts';
import { writesModel } from '../../services/shard-writer/src/model.ts';

const SLOTS = 4;
export const A = 'a' as ShardId;
export const B = 'b' as ShardId;
const CLUSTER = '00000000-0000-0000-0000-000000000001';
const dir = mkdtempSync(join(tmpdir(), 'millrace-mover-'));
const log = createLog({ name: 'test', level: 'silent' });
export const servers: Postgres[] = [];
export let shards: Record<'a' | 'b' | 'reference', Database>;

const keys = Array.from({ length: 400 }, (_, i) => `demo/k${i}`).filter((key) => slotOf(key, SLOTS) === 1);
export const slot = 1 as Slot;
export const neighbour = 2 as Slot;

/** Stream `sagas`, whose tables come later: it fills the journal, and parks. */
const sagasModel: StreamModel = {
  stream: 'sagas',
  isPublic: () => true,
  tables: [],
  command: ({ type }) => (type === 'saga.bad' ? { poison: 'bad' } : { type, reads: [], apply: () => ({ outcome: 'applied', changes: [] }) }),
};
const models = { writes: writesModel, sagas: sagasModel };

/** Aborted when the test is over. */
export let ended = new AbortController();
let driving: Promise<unknown>[] = [];
let following: Promise<unknown>[] = [];

/** Two servers for the tests of a file; before each both shards and the reference, with their slots and nothing in them. */
export function useShards(): void {
  beforeAll(async () => {
    for (const name of ['a', 'b']) servers.push(await startPostgres({ name, dir: join(dir, name), durable: false }));
  });
  afterAll(async () => {
    for (const server of servers) await server.stop();
    rmSync(dir, { recursive: true, force: true });
  });
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
  beforeEach(() => published.clear());
}

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

export function connect(url: string, name: string): Database {
  return createDatabase({ name, url, applicationName: `test-${name}`, poolMax: 12, statementTimeoutMs: 30_000, idleInTransactionTimeoutMs: 300_000, connectTimeoutMs: 5_000, log });
}

/** The records of the slot, by stream, and whoever applies them. */
export function createTraffic() {
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

export const order = (id = 1n, source = A, target = B): MoveOrder => ({ id, slot, source, target });

interface Driven {
  readonly result: Promise<DriveResult>;
  readonly progress: Partial<MoveProgress>;
  readonly phases: string[];
  readonly errors: string[];
}

export const published = new Map<Slot, ShardId>();
export function drive(options: Partial<DriveInput> & { wishes?: () => MoveWish } = {}): Driven {
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

/** The rows of a table of the slot, by primary key. */
async function rowsOf(database: Database, table: string): Promise<readonly string[]> {
  const key = slotTables.find(({ name }) => name === table)!.key.map(({ column }) => `"${column}"`).join(', ');
  const rows = await database.query<{ row: string }>({ text: `select t::text as row from "${table}" t where slot = $1 order by ${key}`, values: [slot] });
  return rows.map(({ row }) => row);
}

/** What an earlier move has left. */
export async function leaveOnTarget(): Promise<void> {
  await shards.b.query({ text: `insert into account (slot, key, currency, balance, held) values ($1, 'demo/old', 'GBP', 5, 0)`, values: [slot] });
}

export async function countOf(database: Database, table: string): Promise<number> {
  return Number((await database.query<{ n: bigint }>({ text: `select count(*) as n from "${table}" where slot = $1`, values: [slot] }))[0]!.n);
}

export async function sideOf(database: Database) {
  return (await database.query<Record<string, unknown>>({ text: 'select state, epoch, moved_to, move, token, held_until from slot where slot = $1', values: [slot] }))[0];
}

type Traffic = ReturnType<typeof createTraffic>;

/** W1: the shard holds exactly what applying the log gives, and the other one nothing. */
export async function expectWhole(traffic: Traffic, on: Database, elsewhere: Database): Promise<void> {
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

export async function loaded(records = 600): Promise<Traffic> {
  const traffic = createTraffic();
  traffic.produce(records);
  await traffic.settle(shards.a);
  return traffic;
}

/** Stops the mover at a step until it is let go: as a process that sleeps, where the step is inside a transaction. */
export function pauseAt(name: string) {
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
export function dieAt(name: string) {
  return async (step: string): Promise<void> => {
    if (step === name) throw new Error(`died at ${name}`);
  };
}

/** Does something at a step, once. */
export function once(name: string, act: () => Promise<unknown>) {
  let done = false;
  return async (step: string): Promise<void> => {
    if (step !== name || done) return;
    done = true;
    await act();
  };
}

export const BACK = order(2n, B, A);
