/** A cluster for a test: a local Millrace in a directory of its own, with a load to drive and a ledger to check. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createKafka, type KafkaClient } from '@millrace/kafka';
import { verifyLedger, type Verdict } from '@millrace/ledger';
import { startLocalCluster, type LocalCluster, type LocalClusterOptions } from '@millrace/local-cluster';
import { createDatabase, type Database } from '@millrace/postgres';
import { createLog, type Log } from '@millrace/runtime';
import { toJson } from '@millrace/wire';
import { createGenerator, drive, type DriveReport } from '@millrace/workload';
import { must, type Receipt, type ShardId, type Tenant } from '@millrace/write';
import { until } from './until.ts';

export interface TestCluster {
  readonly local: LocalCluster;
  readonly kafka: KafkaClient;
  readonly log: Log;
  readonly control: Database;
  /** With the superuser's rights, to look and to break. */
  shard(id: string): Database;
  /** A stream of writes of its own; `seed` makes its ids. Resolves when all of it is acked. */
  drive(load: Load): Promise<DriveReport>;
  /** Waits until the shards reach the log's end, then checks everything from the first record on. */
  verify(acked?: Iterable<Receipt>): Promise<Verdict>;
  /** A request with the tenant's key; the body as JSON. */
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  stop(): Promise<void>;
}

export interface Load {
  readonly seed: string;
  readonly writes: number;
  /** Called once, when so many writes are acked. */
  readonly at?: { readonly acked: number; readonly act: () => void };
  readonly ratePerSecond?: number;
}

export interface CallOptions {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly idempotencyKey?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

const CONNECTIONS = 16;
const APPLY_WAIT_MS = 90_000;
const STALL_MS = 90_000;
const POOL = { applicationName: 'test', poolMax: 3, statementTimeoutMs: 30_000, idleInTransactionTimeoutMs: 60_000, connectTimeoutMs: 5_000 } as const;

export async function startTestCluster(options: Omit<LocalClusterOptions, 'dir'> = {}): Promise<TestCluster> {
  const dir = mkdtempSync(join(tmpdir(), 'millrace-test-'));
  const local = await startLocalCluster({ ...options, dir });
  const log = createLog({ name: 'test', level: 'error' });
  const kafka = createKafka({ brokers: [...local.file.kafka], clientId: 'test', log });
  const control = createDatabase({ ...POOL, name: 'control', url: local.file.control, log });
  const shards = new Map(local.file.shards.map(({ id, url }) => [id, createDatabase({ ...POOL, name: id, url, log })]));
  const shard = (id: string): Database => must(shards.get(id), `shard ${id} is in cluster.json`);

  async function owners(): Promise<readonly ShardId[]> {
    const rows = await control.query<{ owners: ShardId[] }>({ text: 'select owners from topology order by epoch desc limit 1' });
    return must(rows[0], 'the ring-manager wrote a topology').owners;
  }

  return {
    local,
    kafka,
    log,
    control,
    shard,
    drive({ seed, writes, at, ratePerSecond }) {
      let acted = at === undefined;
      return drive({
        gatewayUrl: local.file.gateway,
        apiKey: local.file.apiKey,
        tenant: local.file.tenant as Tenant,
        requests: createGenerator({ seed, writes }),
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
    },
    async verify(acked) {
      for (const database of shards.values()) await until(`shard ${database.name} answers`, () => database.query({ text: 'select 1' }).catch(() => undefined));
      return verifyLedger({
        kafka,
        topicPrefix: local.file.topicPrefix,
        slots: local.file.slots,
        owners: await owners(),
        shards: shard,
        allShardIds: [...shards.keys()] as ShardId[],
        acked,
        waitMs: APPLY_WAIT_MS,
        signal: AbortSignal.timeout(2 * APPLY_WAIT_MS),
      });
    },
    call: (method, path, call = {}) => callGateway(local, { method, path, ...call }),
    async stop() {
      await Promise.all([control, ...shards.values()].map((database) => database.end()));
      await local.stop();
      if (process.env['KEEP_TEST_DIRS'] === undefined) rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function callGateway(local: LocalCluster, { method, path, body, headers, idempotencyKey }: CallOptions & { method: string; path: string }): Promise<Answer> {
  const response = await fetch(`${local.file.gateway}${path}`, {
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
