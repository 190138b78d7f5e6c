/** The services of a local cluster, not started, each with the credentials of its own role. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { must } from '@millrace/write';

import { writeJson } from './atomic-file.ts';
import type { Layout } from './layout.ts';
import { freePort } from './ports.ts';
import type { Postgres } from './postgres.ts';
import type { Servers } from './servers.ts';
import { writeKeyFiles, type Secrets } from './secrets.ts';
import { createService, type Service } from './service.ts';

/** What a caller adds to a service: settings, and options for Node such as a profiler. */
export type Tune = (name: string) => {
  readonly env?: Readonly<Record<string, string>>;
  readonly nodeArgs?: readonly string[];
};

export interface ServicesInput {
  readonly dir: string;
  readonly logDir: string;
  readonly layout: Layout;
  readonly secrets: Secrets;
  readonly servers: Servers;
  readonly writers: number;
  readonly gateways: number;
  /** Of the first gateway, where it is free. */
  readonly gatewayPort?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly tune?: Tune;
}

export interface Services {
  readonly ringManager: Service;
  readonly writers: readonly Service[];
  readonly gateways: readonly Service[];
  readonly gatewayUrl: string;
  readonly adminUrl: string;
  /** The ports in use, by name, as the layout keeps them. */
  readonly ports: Readonly<Record<string, number>>;
}

type Role = 'owner' | 'writer' | 'reader';

export async function createServices(input: ServicesInput): Promise<Services> {
  const { secrets, layout } = input;
  const config = join(input.dir, 'config');
  const { apiKeysFile, adminTokenFile } = writeKeyFiles(config, secrets);
  const ports: Record<string, number> = {};
  const port = async (name: string, wished = layout.ports[name]): Promise<string> => {
    ports[name] = await freePort(wished);
    return String(ports[name]);
  };

  const create = async (service: string, name: string, role: Role, env: Record<string, string>): Promise<Service> => {
    await port(`${name}.ops`);
    const tuned = input.tune?.(name) ?? {};
    return createService({
      service,
      name,
      opsPort: must(ports[`${name}.ops`], 'the port was chosen above'),
      logFile: join(input.logDir, `${name}.log`),
      env: { ...commonEnv(input, config, role), OPS_PORT: String(ports[`${name}.ops`]), INSTANCE: name, ...env, ...input.env, ...tuned.env },
      nodeArgs: tuned.nodeArgs,
    });
  };

  const ringManager = await create('ring-manager', 'ring-manager', 'owner', {
    ADMIN_HOST: '127.0.0.1',
    ADMIN_PORT: await port('admin'),
    ADMIN_TOKEN_FILE: adminTokenFile,
    SLOTS: String(layout.slots),
    REPLICATION_FACTOR: layout.brokers === 3 ? '3' : '1',
    MIN_INSYNC: layout.brokers === 3 ? '2' : '1',
  });
  const writers: Service[] = [];
  for (let n = 1; n <= input.writers; n += 1) writers.push(await create('shard-writer', `shard-writer-${n}`, 'writer', {}));
  const gateways: Service[] = [];
  for (let n = 1; n <= input.gateways; n += 1) {
    const name = `ingest-gateway-${n}`;
    const PORT = await port(name, n === 1 ? (input.gatewayPort ?? layout.ports[name]) : layout.ports[name]);
    gateways.push(await create('ingest-gateway', name, 'reader', { HOST: '127.0.0.1', PORT, API_KEYS_FILE: apiKeysFile }));
  }
  const url = (name: string): string => `http://127.0.0.1:${must(ports[name], `${name} has a port`)}`;
  return { ringManager, writers, gateways, gatewayUrl: url('ingest-gateway-1'), adminUrl: url('admin'), ports };
}

function commonEnv({ servers, layout }: ServicesInput, config: string, role: Role): Record<string, string> {
  return {
    KAFKA_BROKERS: servers.brokers.map((broker) => broker.address).join(','),
    CONTROL_URL: urlOf(servers.control, role),
    SHARDS_FILE: writeShardsFile(config, servers, role),
    TOPIC_PREFIX: layout.topicPrefix,
    LOG_LEVEL: 'info',
    OPS_HOST: '127.0.0.1',
  };
}

function writeShardsFile(config: string, servers: Servers, role: Role): string {
  mkdirSync(config, { recursive: true });
  const file = join(config, `shards-${role}.json`);
  writeJson(file, Object.fromEntries(servers.shards.map(({ id, postgres }) => [id, urlOf(postgres, role)])));
  return file;
}

function urlOf(postgres: Postgres, role: Role): string {
  switch (role) {
    case 'owner':
      return postgres.url;
    case 'writer':
      return postgres.writerUrl;
    case 'reader':
      return postgres.readerUrl;
  }
}
