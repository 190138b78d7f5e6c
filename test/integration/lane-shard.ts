/** A lane over a real shard, for tests: its relay publishes into lists. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from '@jest/globals';
import type { Lanes, OutgoingRecord } from '@millrace/kafka';
import { startPostgres, type Postgres } from '@millrace/local-cluster';
import { createDatabase, type Database } from '@millrace/postgres';
import { slotOf } from '@millrace/ring';
import { createBreaker, createLog, createRegistry } from '@millrace/runtime';
import { prepareShard, seedSlots } from '@millrace/slot-processor';
import { encodeWrite } from '@millrace/wire';
import { must, type Epoch, type Offset, type ShardId, type Slot } from '@millrace/write';
import { createLane, type Lane, type Refusal } from '../../libs/slot-processor/src/lane.ts';
import { createProcessorMetrics } from '../../libs/slot-processor/src/metrics.ts';
import type { Slice, StreamModel } from '../../libs/slot-processor/src/model.ts';
import { createRelay } from '../../libs/slot-processor/src/relay.ts';
import { sliceOf } from '../../libs/slot-processor/src/slices.ts';
import { writesModel } from '../../services/shard-writer/src/model.ts';

export const SLOTS = 4;
const LOCK_TIMEOUT_MS = 300;
export const log = createLog({ name: 'test', level: 'silent' });
export const slot = slotOf('demo/a', SLOTS);
const shard = 'a' as ShardId;

let server: Postgres;
/** The shard, from the first test on. */
export let database: Database;
const stops: (() => Promise<void>)[] = [];
export const connect = (applicationName: string): Database =>
  createDatabase({ name: 'a', url: server.url, applicationName, poolMax: 4, statementTimeoutMs: 30_000, lockTimeoutMs: LOCK_TIMEOUT_MS, idleInTransactionTimeoutMs: 30_000, connectTimeoutMs: 5_000, log });
/** A server for the tests of a file, and a shard that is empty before each. */
export function useShard(): void {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-lane-'));
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
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop();
  });
}

/** Account `a` is opened, then each record adds one. */
export function sliceFrom(from: number, to: number): Slice {
  const records = Array.from({ length: to - from }, (_, i) => {
    const offset = from + i;
    const write = offset === 0 ? { type: 'account.open', data: { account: 'a', currency: 'GBP' } } : { type: 'account.deposit', data: { account: 'a', amount: '1.00', currency: 'GBP' } };
    return { slot, offset: BigInt(offset) as Offset, key: 'demo/a', value: Buffer.from(encodeWrite({ ...write, idempotencyKey: `w${offset}` })), atMs: 1_700_000_000_000 };
  });
  return sliceOf({ slot, from: BigInt(from) as Offset, to: BigInt(to) as Offset }, records);
}

export interface Running {
  readonly lane: Lane;
  /** Below it everything is applied, as the lane told. */
  applied(): bigint;
  readonly published: OutgoingRecord[];
  /** To stream `sagas`. */
  readonly sent: OutgoingRecord[];
  readonly refused: { readonly slot: Slot; readonly refusal: Refusal; readonly left: readonly Slice[] }[];
  metric(name: string): Promise<number>;
}

interface Around {
  readonly model?: StreamModel;
  /** Kafka takes nothing before. */
  readonly taking?: Promise<void>;
}

export function startLane(over: Database, { model = writesModel, taking }: Around = {}): Running {
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
