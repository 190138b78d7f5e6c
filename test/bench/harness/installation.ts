/**
 * A Millrace of its own on the shared servers: a topic prefix, a control database, a database a shard, and the
 * services as built. Each round gets a fresh one, so that none finds tables that the round before it has filled.
 */
import { randomBytes, hash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createService, freePort, type Service } from '@millrace/local-cluster';
import { topicNames } from '@millrace/wire';
import pg from 'pg';
import { ACCOUNTS, fundingRecords, TENANT } from '../writes.ts';
import type { Bench } from './bench.ts';
import { deleteTopics, fill, recordsIn, type Filler } from './kafka.ts';
import { createDatabase, dropDatabase } from './postgres.ts';

const SHARDS = ['a', 'b'];
const FUNDED_TIMEOUT_MS = 60_000;

export interface Installation {
  readonly apiKey: string;
  readonly gatewayPort: number;
  /** Starts a gateway, ready to take requests. */
  readonly startGateway: () => Promise<Service>;
  readonly startWriter: () => Promise<Service>;
  /** Puts records straight into `writes`. */
  readonly fill: (records: Iterable<Filler>) => Promise<void>;
  /** Records in `writes`, duplicates included. */
  readonly stored: () => Promise<number>;
  /** Records of `writes` that the positions of all shards have passed. */
  readonly applied: () => Promise<number>;
  /** Stops what it started and removes topics and databases. */
  readonly remove: () => Promise<void>;
}

export interface InstallationOptions {
  readonly name: string;
  readonly slots: number;
  /** Options for the Node of every service, such as a profiler's. */
  readonly nodeArgs?: readonly string[];
}

export async function createInstallation({ servers, children, dir }: Bench, { name, slots, nodeArgs }: InstallationOptions): Promise<Installation> {
  const home = join(dir, name);
  mkdirSync(home, { recursive: true });
  const prefix = `${name}.`;
  const shards = await Promise.all(SHARDS.map((shard, index) => createDatabase(urlAt(servers.postgres, index), `${name}-${shard}`)));
  const control = await createDatabase(urlAt(servers.postgres, 0), `${name}-control`);
  const apiKey = `bench_${randomBytes(24).toString('base64url')}`;
  const common = {
    KAFKA_BROKERS: servers.brokers.join(','),
    CONTROL_URL: control,
    SHARDS_FILE: writeJson(home, 'shards.json', Object.fromEntries(SHARDS.map((shard, index) => [shard, shards[index]]))),
    TOPIC_PREFIX: prefix,
    LOG_LEVEL: 'warn',
    OPS_HOST: '127.0.0.1',
  };
  const services: Service[] = [];
  const start = async (service: string, env: Record<string, string>): Promise<Service> => {
    const opsPort = await freePort();
    const instance = `${service}-${services.length + 1}`;
    const settings = { ...common, OPS_PORT: String(opsPort), INSTANCE: instance, ...env };
    const child = createService({ service, name: `${name}-${instance}`, opsPort, logFile: join(dir, 'logs', `${name}-${instance}.log`), env: settings, nodeArgs });
    services.push(child);
    children.adopt(() => child.stop());
    await child.start();
    return child;
  };

  const adminToken = join(home, 'admin-token');
  writeFileSync(adminToken, randomBytes(24).toString('base64url'));
  await start('ring-manager', {
    ADMIN_HOST: '127.0.0.1',
    ADMIN_PORT: String(await freePort()),
    ADMIN_TOKEN_FILE: adminToken,
    SLOTS: String(slots),
    REPLICATION_FACTOR: '1',
    MIN_INSYNC: '1',
  });

  const positions = await Promise.all(shards.map(connect));
  const gatewayPort = await freePort();
  const keysFile = writeJson(home, 'api-keys.json', { keys: [{ sha256: hash('sha256', apiKey, 'hex'), tenant: TENANT }] });
  const { writes } = topicNames(prefix);
  return {
    apiKey,
    gatewayPort,
    startGateway: () => start('ingest-gateway', { HOST: '127.0.0.1', PORT: String(gatewayPort), API_KEYS_FILE: keysFile }),
    startWriter: () => start('shard-writer', {}),
    fill: (records) => fill(servers.brokers, { topic: writes, partitions: slots, records }),
    stored: () => recordsIn(servers.brokers, writes),
    applied: async () => {
      const sums = await Promise.all(positions.map(appliedOn));
      return sums.reduce((sum, one) => sum + one, 0);
    },
    remove: async () => {
      await Promise.all(positions.map((client) => client.end()));
      for (const service of services.reverse()) await service.stop();
      await deleteTopics(servers.brokers, prefix);
      await Promise.all(SHARDS.map((shard, index) => dropDatabase(urlAt(servers.postgres, index), `${name}-${shard}`)));
      await dropDatabase(urlAt(servers.postgres, 0), `${name}-control`);
    },
  };
}

/** Opens and funds every account and waits until a writer has applied it all. */
export async function fund(installation: Installation): Promise<void> {
  await installation.fill(allFunding());
  await untilApplied(installation, FUNDED_TIMEOUT_MS);
}

export async function untilApplied(installation: Installation, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  const stored = await installation.stored();
  while ((await installation.applied()) < stored) {
    if (performance.now() > deadline) throw new Error(`the writer applied ${await installation.applied()} of ${stored} records in ${timeoutMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function* allFunding(): Iterable<Filler> {
  for (let account = 0; account < ACCOUNTS; account++) yield* fundingRecords(account);
}

async function connect(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client;
}

async function appliedOn(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ sum: string | null }>(`select sum(next_offset) from position where stream = 'writes'`);
  return Number(rows[0]?.sum ?? 0);
}

function urlAt(urls: readonly string[], index: number): string {
  const url = urls[index % urls.length];
  if (url === undefined) throw new Error('there is no Postgres server');
  return url;
}

function writeJson(dir: string, name: string, value: object): string {
  const file = join(dir, name);
  writeFileSync(file, JSON.stringify(value));
  return file;
}
