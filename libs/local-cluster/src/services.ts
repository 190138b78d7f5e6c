/** The services of a local cluster, not started, each with the credentials of its own role. */
import { join } from 'node:path';

import { must } from '@millrace/write';

import type { Layout } from './layout.ts';
import { freePort } from './ports.ts';
import type { Servers } from './servers.ts';
import { writeKeyFiles, type Secrets } from './secrets.ts';
import { createService, type Service } from './service.ts';
import { shardsFileOf, urlOf, writeShardsFiles, type Role } from './shard-files.ts';

/** What a caller adds to a service: settings, and options for Node such as a profiler. */
export type Tune = (name: string) => {
  readonly env?: Readonly<Record<string, string>>;
  readonly nodeArgs?: readonly string[];
};

export interface ServicesInput {
  /** Where the files are that the services read. */
  readonly configDir: string;
  readonly logDir: string;
  readonly layout: Layout;
  readonly secrets: Secrets;
  readonly servers: Servers;
  readonly ringManagers: number;
  readonly writers: number;
  readonly orchestrators: number;
  readonly gateways: number;
  /** Of the first gateway, where it is free. */
  readonly gatewayPort?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly tune?: Tune;
}

export interface Services {
  /** One of them leads, the others stand by. */
  readonly ringManagers: readonly Service[];
  readonly writers: readonly Service[];
  readonly orchestrators: readonly Service[];
  readonly gateways: readonly Service[];
  /** Of each gateway. */
  readonly gatewayUrls: readonly string[];
  /** Of each ring-manager. */
  readonly adminUrls: readonly string[];
  /** The admin API of each saga-orchestrator. */
  readonly sagaUrls: readonly string[];
  /** The ports in use, by name, as the layout keeps them. */
  readonly ports: Readonly<Record<string, number>>;
}

export async function createServices(input: ServicesInput): Promise<Services> {
  const { secrets, layout, configDir } = input;
  const { apiKeysFile, adminTokenFile } = writeKeyFiles(configDir, secrets);
  writeShardsFiles(configDir, input.servers.shards);
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
      env: { ...commonEnv(input, role), OPS_PORT: String(ports[`${name}.ops`]), INSTANCE: name, ...env, ...input.env, ...tuned.env },
      nodeArgs: tuned.nodeArgs,
    });
  };

  const ringManagers: Service[] = [];
  for (let n = 1; n <= input.ringManagers; n += 1) {
    const ADMIN_PORT = await port(nth('admin', n));
    ringManagers.push(await create('ring-manager', nth('ring-manager', n), 'owner', { ...ringEnv(layout), ADMIN_TOKEN_FILE: adminTokenFile, ADMIN_PORT }));
  }
  const writers: Service[] = [];
  for (let n = 1; n <= input.writers; n += 1) writers.push(await create('shard-writer', `shard-writer-${n}`, 'writer', {}));
  const orchestrators: Service[] = [];
  for (let n = 1; n <= input.orchestrators; n += 1) {
    const ADMIN_PORT = await port(nth('sagas', n));
    orchestrators.push(await create('saga-orchestrator', `saga-orchestrator-${n}`, 'writer', { ADMIN_TOKEN_FILE: adminTokenFile, ADMIN_PORT }));
  }
  const gateways: Service[] = [];
  for (let n = 1; n <= input.gateways; n += 1) {
    const name = `ingest-gateway-${n}`;
    const PORT = await port(name, n === 1 ? (input.gatewayPort ?? layout.ports[name]) : layout.ports[name]);
    gateways.push(await create('ingest-gateway', name, 'reader', { HOST: '127.0.0.1', PORT, API_KEYS_FILE: apiKeysFile }));
  }
  const url = (name: string): string => `http://127.0.0.1:${must(ports[name], `${name} has a port`)}`;
  const gatewayUrls = gateways.map(({ name }) => url(name));
  const adminUrls = ringManagers.map((_, i) => url(nth('admin', i + 1)));
  const sagaUrls = orchestrators.map((_, i) => url(nth('sagas', i + 1)));
  return { ringManagers, writers, orchestrators, gateways, gatewayUrls, adminUrls, sagaUrls, ports };
}

/** The first needs no number: there are rarely two. */
function nth(name: string, n: number): string {
  return n === 1 ? name : `${name}-${n}`;
}

function ringEnv(layout: Layout): Record<string, string> {
  return {
    ADMIN_HOST: '127.0.0.1',
    SLOTS: String(layout.slots),
    REPLICATION_FACTOR: layout.brokers === 3 ? '3' : '1',
    MIN_INSYNC: layout.brokers === 3 ? '2' : '1',
  };
}

function commonEnv({ servers, layout, configDir }: ServicesInput, role: Role): Record<string, string> {
  return {
    KAFKA_BROKERS: servers.brokers.map((broker) => broker.address).join(','),
    CONTROL_URL: urlOf(servers.control, role),
    SHARDS_FILE: shardsFileOf(configDir, role),
    TOPIC_PREFIX: layout.topicPrefix,
    LOG_LEVEL: 'info',
    OPS_HOST: '127.0.0.1',
  };
}
