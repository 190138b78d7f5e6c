/** A gateway on real Kafka and Postgres, for tests. The writer's part is played, row by row. */
import { createHash, randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request, type IncomingHttpHeaders } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from '@jest/globals';
import { createKafka, waitForKafka, type KafkaClient } from '@millrace/kafka';
import { startBroker, startPostgres, type Broker, type Postgres } from '@millrace/local-cluster';
import { createDatabase, type Database } from '@millrace/postgres';
import { createLog, type Life } from '@millrace/runtime';
import { createShards, type Shards } from '@millrace/topology';
import { decodeReceipt, type Digest, type Receipt, type Tenant } from '@millrace/write';
import type { GatewayConfig } from '../../services/ingest-gateway/src/config.ts';
import { startGateway, type Gateway } from '../../services/ingest-gateway/src/gateway.ts';
import { establish } from '../../services/ring-manager/src/establish.ts';

export const SLOTS = 8;
export const DEMO = 'demo' as Tenant;
const POOL = { applicationName: 'test', poolMax: 2, statementTimeoutMs: 30_000, idleInTransactionTimeoutMs: 30_000, connectTimeoutMs: 5_000 };
export const log = createLog({ name: 'test', level: 'fatal' });
const dir = mkdtempSync(join(tmpdir(), 'millrace-gateway-'));

export let broker: Broker;
let postgres: Postgres;
export let kafka: KafkaClient;
export let shards: Shards;
let control: Database;
export let config: GatewayConfig;
export let gateway: Gateway;
export let life: TestLife;

/** What `run` gives a process, without the process. */
interface TestLife extends Life {
  drain(): Promise<void>;
}

export function createLife(): TestLife {
  const abort = new AbortController();
  const steps: (() => Promise<void> | void)[] = [];
  return {
    signal: abort.signal,
    onDrain: (_name, close) => void steps.push(close),
    fail: (error) => {
      throw error;
    },
    async drain() {
      abort.abort(new Error('drain'));
      for (const close of steps.splice(0).reverse()) await close();
    },
  };
}

/** The servers and a gateway over two shards, for the tests of a file. */
export function useGateway(): void {
  beforeAll(async () => {
    [broker, postgres] = await Promise.all([startBroker({ dir: join(dir, 'kafka') }), startPostgres({ dir: join(dir, 'postgres'), durable: false })]);
    const urlOf = (database: string): string => Object.assign(new URL(postgres.url), { pathname: `/${database}` }).href;
    const root = createDatabase({ ...POOL, name: 'root', url: postgres.url, log });
    for (const name of ['control', 'shard_a', 'shard_b']) await root.query({ text: `create database ${name}` });
    await root.end();
    const files = { shards: join(dir, 'shards.json'), keys: join(dir, 'keys.json') };
    writeFileSync(files.shards, JSON.stringify({ a: urlOf('shard_a'), b: urlOf('shard_b') }));
    writeFileSync(files.keys, JSON.stringify({ keys: [keyOf('demo-key', 'demo'), keyOf('other-key', 'other')] }));
    kafka = createKafka({ brokers: [broker.address], clientId: 'test', log });
    await waitForKafka({ kafka, signal: AbortSignal.timeout(60_000), log });
    control = createDatabase({ ...POOL, name: 'control', url: urlOf('control'), log });
    shards = createShards({ file: files.shards, log, settings: POOL });
    await establish({ control, shards, kafka, topicPrefix: '', slots: SLOTS, replicationFactor: 1, minInsync: 1, log });
    life = createLife();
    config = {
      host: '127.0.0.1', port: 0, opsHost: '127.0.0.1', opsPort: 0, brokers: [broker.address], topicPrefix: '', controlUrl: urlOf('control'),
      shardsFile: files.shards, apiKeysFile: files.keys, logLevel: 'fatal', instance: 'gateway',
    };
    gateway = await startGateway({ config, log, life });
  });

  afterAll(async () => {
    await life?.drain();
    await Promise.all([shards?.end(), control?.end()]);
    await Promise.all([broker?.stop(), postgres?.stop()]);
    rmSync(dir, { recursive: true, force: true });
  });
}

function keyOf(key: string, tenant: string): { sha256: string; tenant: string } {
  return { sha256: createHash('sha256').update(key).digest('hex'), tenant };
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly json: { readonly [field: string]: unknown };
}

interface Ask {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | undefined>>;
  readonly body?: string | Buffer;
  readonly key?: string;
  readonly of?: Gateway;
}

export function ask(path: string, { method = 'GET', headers = {}, body, key = 'demo-key', of = gateway }: Ask = {}): Promise<Reply> {
  const sent = Object.entries({ authorization: `Bearer ${key}`, ...headers }).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return new Promise((resolve, reject) => {
    const req = request(of.url + path, { method, headers: Object.fromEntries(sent), agent: false }, (res) => {
      const chunks: Buffer[] = [];
      res.on('data', (chunk: Buffer) => chunks.push(chunk));
      res.on('end', () => {
        const text = Buffer.concat(chunks).toString('utf8');
        const isJson = /json(;|$)/.test(res.headers['content-type'] ?? '') && !/ndjson/.test(res.headers['content-type'] ?? '');
        resolve({ status: res.statusCode ?? 0, headers: res.headers, text, json: isJson ? (JSON.parse(text) as Reply['json']) : {} });
      });
    });
    req.on('error', reject);
    req.end(body);
  });
}

export function post(path: string, body: unknown, options: Ask & { readonly idempotencyKey?: string } = {}): Promise<Reply> {
  const { idempotencyKey = randomUUID(), headers = {}, ...rest } = options;
  const text = typeof body === 'string' || Buffer.isBuffer(body) ? body : JSON.stringify(body);
  return ask(path, { method: 'POST', ...rest, body: text, headers: { 'content-type': 'application/json', 'idempotency-key': idempotencyKey, ...headers } });
}

export async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 20));
}

export const openAccount = (account: string, options?: Ask & { readonly idempotencyKey?: string }): Promise<Reply> => post('/v1/accounts', { account, currency: 'GBP' }, options);
export const receiptIn = (reply: Reply): Receipt => decodeReceipt(DEMO, String(reply.json['receipt']))!;
export const shardOf = async (slot: number): Promise<Database> => {
  for (const id of shards.ids()) {
    const held = await shards.get(id).query({ text: `select 1 from slot where slot = $1 and state in ('ACTIVE', 'MOVING')`, values: [slot] });
    if (held.length > 0) return shards.get(id);
  }
  throw new Error(`no shard holds slot ${slot}`);
};

interface Applied {
  readonly outcome?: 'applied' | 'refused';
  readonly detail?: object;
  readonly key: string;
  /** Null as the writer leaves it where the key is misused. */
  readonly digest?: Digest | null;
  /** Further statements of the same transaction. */
  readonly also?: readonly { readonly text: string; readonly values: readonly unknown[] }[];
}

/** Plays the writer: the journal row, the position and what else the write does, in one transaction. */
export async function apply({ slot, offset, digest: digestOfReceipt }: Receipt, { outcome = 'applied', detail, key, digest = digestOfReceipt, also = [] }: Applied): Promise<void> {
  await (await shardOf(slot)).transaction(async (tx) => {
    for (const sql of also) await tx.query(sql);
    await tx.query({
      text: `insert into journal (slot, stream, "offset", body_hash, at_ms, digest, outcome, key, type, detail) values ($1, 'writes', $2, 0, 1700000000000, $3, $4, $5, 'account.open', $6)`,
      values: [slot, offset, digest, outcome, key, detail ? JSON.stringify(detail) : null],
    });
    await tx.query({ text: `update position set next_offset = greatest(next_offset, $2) where stream = 'writes' and slot = $1`, values: [slot, offset + 1n] });
  });
}
