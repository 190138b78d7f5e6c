/**
 * A Millrace of its own on the shared servers: a topic prefix, a control database, a database a shard, and the
 * services as built. Each round gets a fresh one, so that none finds tables that the round before it has filled.
 */
import { randomBytes, hash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createService, freePort, type Service } from '@millrace/local-cluster';
import { topicNames } from '@millrace/wire';
import { ACCOUNTS, fundingRecords, TENANT } from '../writes.ts';
import type { Bench } from './bench.ts';
import { deleteTopics, fill, recordsIn, type Filler } from './kafka.ts';
import { createPositions, type Positions } from './positions.ts';
import { createDatabase, dropDatabase } from './postgres.ts';
import { createRing, type Ring } from './ring.ts';

const SHARDS = ['a', 'b'];
const FUNDED_TIMEOUT_MS = 60_000;

export interface Installation {
  readonly apiKey: string;
  readonly gatewayPort: number;
  /** The topic of what became of writes and sagas. */
  readonly outcomes: string;
  /** Runs from the beginning. */
  readonly ringManager: Service;
  readonly ring: Ring;
  /** Starts a gateway, ready to take requests. */
  readonly startGateway: () => Promise<Service>;
  readonly startWriter: () => Promise<Service>;
  readonly startOrchestrator: () => Promise<Service>;
  /** Makes a later shard a member that owns nothing yet, for the first time or again: its address comes first. */
  readonly join: (shard: string) => Promise<void>;
  /** The address of a shard's database, for its owner. */
  readonly urlOf: (shard: string) => string;
  /** Puts records straight into `writes`. */
  readonly fill: (records: Iterable<Filler>) => Promise<void>;
  /** Records in `writes`, duplicates included. */
  readonly stored: () => Promise<number>;
  /** Records of `writes` that the positions of all shards have passed. */
  readonly applied: () => Promise<number>;
  /** The same of one slot. */
  readonly appliedOf: (slot: number) => Promise<number>;
  /** Stops what it started and removes topics and databases. */
  readonly remove: () => Promise<void>;
}

export interface InstallationOptions {
  readonly name: string;
  readonly slots: number;
  /** Shards with a database, on the last server, that are no members yet. */
  readonly later?: readonly string[];
  /** Options for the Node of every service, such as a profiler's. */
  readonly nodeArgs?: readonly string[];
}

export async function createInstallation(bench: Bench, { name, slots, later = [], nodeArgs }: InstallationOptions): Promise<Installation> {
  const { servers, dir } = bench;
  const home = join(dir, name);
  mkdirSync(home, { recursive: true });
  const prefix = `${name}.`;
  const databases = await createDatabases(servers.postgres, { name, later });
  const apiKey = `bench_${randomBytes(24).toString('base64url')}`;
  const adminToken = randomBytes(24).toString('base64url');
  const addresses = Object.fromEntries(SHARDS.map((shard) => [shard, databases.urlOf(shard)]));
  const shardsFile = writeJson(home, 'shards.json', addresses);
  const services = createServices(bench, { name, nodeArgs }, {
    KAFKA_BROKERS: servers.brokers.join(','),
    CONTROL_URL: databases.control,
    SHARDS_FILE: shardsFile,
    TOPIC_PREFIX: prefix,
    LOG_LEVEL: 'warn',
    OPS_HOST: '127.0.0.1',
  });

  const adminPort = await freePort();
  const adminTokenFile = join(home, 'admin-token');
  writeFileSync(adminTokenFile, adminToken);
  const ringManager = await services.start('ring-manager', {
    ADMIN_HOST: '127.0.0.1',
    ADMIN_PORT: String(adminPort),
    ADMIN_TOKEN_FILE: adminTokenFile,
    SLOTS: String(slots),
    REPLICATION_FACTOR: '1',
    MIN_INSYNC: '1',
  });
  const ring = createRing({ url: `http://127.0.0.1:${adminPort}`, token: adminToken });

  const positions: Positions = await createPositions(addresses);
  const gatewayPort = await freePort();
  const keysFile = writeJson(home, 'api-keys.json', { keys: [{ sha256: hash('sha256', apiKey, 'hex'), tenant: TENANT }] });
  const { writes, outcomes } = topicNames(prefix);
  return {
    apiKey,
    gatewayPort,
    outcomes,
    ringManager,
    ring,
    startGateway: () => services.start('ingest-gateway', { HOST: '127.0.0.1', PORT: String(gatewayPort), API_KEYS_FILE: keysFile }),
    startWriter: () => services.start('shard-writer', {}),
    startOrchestrator: async () => services.start('saga-orchestrator', { ADMIN_HOST: '127.0.0.1', ADMIN_PORT: String(await freePort()), ADMIN_TOKEN_FILE: adminTokenFile }),
    join: async (shard) => {
      addresses[shard] = databases.urlOf(shard);
      writeJson(home, 'shards.json', addresses);
      await ring.add(shard);
      await positions.add(shard, databases.urlOf(shard));
    },
    urlOf: databases.urlOf,
    fill: (records) => fill(servers.brokers, { topic: writes, partitions: slots, records }),
    stored: () => recordsIn(servers.brokers, writes),
    applied: positions.applied,
    appliedOf: positions.of,
    remove: async () => {
      await positions.end();
      await services.stop();
      await deleteTopics(servers.brokers, prefix);
      await databases.drop();
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

interface Databases {
  readonly control: string;
  readonly urlOf: (shard: string) => string;
  readonly drop: () => Promise<void>;
}

async function createDatabases(servers: readonly string[], { name, later }: { readonly name: string; readonly later: readonly string[] }): Promise<Databases> {
  const places = new Map([...SHARDS, ...later].map((shard, index) => [shard, servers[Math.min(index, servers.length - 1)] ?? '']));
  const urls = new Map<string, string>();
  await Promise.all([...places].map(async ([shard, server]) => urls.set(shard, await createDatabase(server, `${name}-${shard}`))));
  const control = await createDatabase(servers[0] ?? '', `${name}-control`);
  return {
    control,
    urlOf: (shard) => {
      const url = urls.get(shard);
      if (url === undefined) throw new Error(`there is no database for shard ${shard}`);
      return url;
    },
    drop: async () => {
      await Promise.all([...places].map(([shard, server]) => dropDatabase(server, `${name}-${shard}`)));
      await dropDatabase(servers[0] ?? '', `${name}-control`);
    },
  };
}

/** Services with settings in common. They are stopped last first. */
function createServices({ children, dir }: Bench, { name, nodeArgs }: Pick<InstallationOptions, 'name' | 'nodeArgs'>, common: Readonly<Record<string, string>>) {
  const services: Service[] = [];
  return {
    start: async (service: string, env: Readonly<Record<string, string>>): Promise<Service> => {
      const opsPort = await freePort();
      const instance = `${service}-${services.length + 1}`;
      const settings = { ...common, OPS_PORT: String(opsPort), INSTANCE: instance, ...env };
      const child = createService({ service, name: `${name}-${instance}`, opsPort, logFile: join(dir, 'logs', `${name}-${instance}.log`), env: settings, nodeArgs });
      services.push(child);
      children.adopt(() => child.stop());
      await child.start();
      return child;
    },
    stop: async () => {
      for (const service of services.reverse()) await service.stop();
    },
  };
}

function* allFunding(): Iterable<Filler> {
  for (let account = 0; account < ACCOUNTS; account++) yield* fundingRecords(account);
}

function writeJson(dir: string, name: string, value: object): string {
  const file = join(dir, name);
  writeFileSync(file, JSON.stringify(value));
  return file;
}
