/** A cluster for a test: a local Millrace in a directory of its own, with a load to drive and a ledger to check. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKafka, type KafkaClient } from '@millrace/kafka';
import { verifyLedger, type Verdict } from '@millrace/ledger';
import { startLocalCluster, type LocalCluster, type LocalClusterOptions } from '@millrace/local-cluster';
import { createDatabase, type Database } from '@millrace/postgres';
import { slotOf } from '@millrace/ring';
import { createLog, type Log } from '@millrace/runtime';
import { toJson } from '@millrace/wire';
import { createGenerator, drive, type DriveReport, type Work } from '@millrace/workload';
import { must, routingKey, type Receipt, type ShardId, type Slot, type Tenant } from '@millrace/write';
import { createRing, type Ring } from './ring.ts';
import { until } from './until.ts';

export interface TestCluster {
  readonly local: LocalCluster;
  readonly kafka: KafkaClient;
  readonly log: Log;
  readonly control: Database;
  readonly ring: Ring;
  /** With the superuser's rights, to look and to break; also of a shard that joined later. */
  shard(id: string): Database;
  /** A stream of writes of its own; `seed` makes its ids. Resolves when all of it is acked. */
  drive(load: Load): Promise<DriveReport>;
  /** Drives a load until it is stopped, at a rate that leaves the machine time for the rest. */
  load(seed: string, ratePerSecond?: number): RunningLoad;
  /**
   * Waits until the shards reach the log's end, then checks everything from the first record on. `requireEnded`, for
   * where nothing more comes: waits for the end of every saga as well, and what has not ended then is a difference.
   */
  verify(acked?: Iterable<Receipt>, options?: { readonly requireEnded?: boolean }): Promise<Verdict>;
  /** A request with the tenant's key; the body as JSON. */
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  /** The slot of an account, an order or a sku of the tenant. */
  slotOf(id: string): Slot;
  stop(): Promise<void>;
}

export interface Load {
  readonly seed: string;
  readonly writes: number;
  /** Called once, when so many writes are acked. */
  readonly at?: { readonly acked: number; readonly act: () => void };
  readonly ratePerSecond?: number;
  /** Nobody applies all of it meanwhile: leaves out what is sent only when an order has ended. */
  readonly isBacklog?: boolean;
  /** Once it says so, the load ends with what is under way. */
  readonly isOver?: () => boolean;
}

export interface RunningLoad {
  /** Resolves when all that was begun is acked. */
  stop(): Promise<DriveReport>;
}

export interface CallOptions {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly idempotencyKey?: string;
  /** Which gateway is asked, where there are several: 0 by default. */
  readonly gateway?: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

const CONNECTIONS = 16;
const APPLY_WAIT_MS = 180_000;
const STALL_MS = 180_000;
/** More than any load that is stopped. */
const WRITES_MAX = 1_000_000;
const RATE_PER_SECOND = 150;
/** Moves of a test hurry: a load is to meet many of their steps, not to wait for one. */
const MOVE_DUTY_PERCENT = '50';
const POOL = { applicationName: 'test', poolMax: 3, statementTimeoutMs: 30_000, idleInTransactionTimeoutMs: 60_000, connectTimeoutMs: 5_000 } as const;

export async function startTestCluster(options: Omit<LocalClusterOptions, 'dir'> = {}): Promise<TestCluster> {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-test-'));
  const local = await startLocalCluster({ ...options, env: { MOVE_DUTY_PERCENT, ...options.env }, dir });
  const log = createLog({ name: 'test', level: 'error' });
  const kafka = createKafka({ brokers: [...local.file.kafka], clientId: 'test', log });
  const control = createDatabase({ ...POOL, name: 'control', url: local.file.control, log });
  const shards = new Map<string, Database>();
  const shardIds = (): readonly string[] => local.file.shards.map(({ id }) => id);

  function shard(id: string): Database {
    const known = shards.get(id);
    if (known) return known;
    const { url } = must(local.file.shards.find((entry) => entry.id === id), `shard ${id} is in cluster.json`);
    const database = createDatabase({ ...POOL, name: id, url, log });
    shards.set(id, database);
    return database;
  }

  async function owners(): Promise<readonly ShardId[]> {
    const rows = await control.query<{ owners: ShardId[] }>({ text: 'select owners from topology order by epoch desc limit 1' });
    return must(rows[0], 'the ring-manager wrote a topology').owners;
  }

  function driveLoad({ seed, writes, at, ratePerSecond, isBacklog = false, isOver = () => false }: Load): Promise<DriveReport> {
    let acted = at === undefined;
    const works = createGenerator({ seed, writes });
    return drive({
      gatewayUrl: local.file.gateway,
      apiKey: local.file.apiKey,
      tenant: local.file.tenant as Tenant,
      requests: untilOver(isBacklog ? withoutWaits(works) : works, isOver),
      connections: CONNECTIONS,
      bulkConnections: 1,
      stallMs: STALL_MS,
      progressEveryMs: 20,
      ...(ratePerSecond === undefined ? {} : { ratePerSecond }),
      onProgress({ acked }) {
        if (acted || at === undefined || acked < at.acked) return;
        acted = true;
        at.act();
      },
    });
  }

  return {
    local,
    kafka,
    log,
    control,
    ring: createRing(local),
    shard,
    drive: driveLoad,
    load(seed, ratePerSecond = RATE_PER_SECOND) {
      let over = false;
      const report = driveLoad({ seed, writes: WRITES_MAX, ratePerSecond, isOver: () => over });
      return {
        stop() {
          over = true;
          return report;
        },
      };
    },
    async verify(acked, { requireEnded = false } = {}) {
      for (const database of [control, ...shardIds().map(shard)]) await until(`database ${database.name} answers`, () => database.query({ text: 'select 1' }).catch(() => undefined));
      return verifyLedger({
        kafka,
        topicPrefix: local.file.topicPrefix,
        slots: local.file.slots,
        owners: await owners(),
        control,
        shards: shard,
        allShardIds: shardIds() as ShardId[],
        acked,
        requireEnded,
        waitMs: APPLY_WAIT_MS,
        signal: AbortSignal.timeout(2 * APPLY_WAIT_MS),
      });
    },
    call: (method, path, call = {}) => callGateway(local, { method, path, ...call }),
    slotOf: (id) => slotOf(routingKey(local.file.tenant as Tenant, id), local.file.slots),
    async stop() {
      await Promise.all([control, ...shards.values()].map((database) => database.end()));
      await local.stop();
      if (process.env['KEEP_TEST_DIRS'] === undefined) rmSync(dir, { recursive: true, force: true });
    },
  };
}

function* untilOver<T>(source: Iterable<T>, isOver: () => boolean): Generator<T, void, undefined> {
  for (const each of source) {
    if (isOver()) return;
    yield each;
  }
}

function* withoutWaits(works: Iterable<Work>): Generator<Work, void, undefined> {
  for (const work of works) if (work.onceEnded === undefined) yield work;
}

async function callGateway(local: LocalCluster, { method, path, body, headers, idempotencyKey, gateway = 0 }: CallOptions & { method: string; path: string }): Promise<Answer> {
  const url = must(local.gatewayUrls[gateway], `the cluster has a gateway ${gateway}`);
  const response = await fetch(`${url}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${local.file.apiKey}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: toJson(body) }),
  });
  return { status: response.status, headers: response.headers, body: (await response.json()) as Record<string, unknown> };
}
