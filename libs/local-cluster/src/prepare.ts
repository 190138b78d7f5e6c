/** Everything that a cluster in a directory consists of, made and not started; and the files that follow what it becomes. */
import { join } from 'node:path';

import type { Child } from './child.ts';
import { writeClusterFile, type ClusterFile } from './cluster-file.ts';
import type { LocalClusterOptions } from './cluster.ts';
import { describeCluster } from './describe.ts';
import { layoutOf, saveLayout, type Layout } from './layout.ts';
import { rotateLogs } from './logs.ts';
import { refuseMember, refuseOwner } from './membership.ts';
import { freePort } from './ports.ts';
import { removeHome } from './postgres-user.ts';
import { secretsOf, type Secrets } from './secrets.ts';
import { createServers, createShard, portsOf, postgresNames, shardDir, type Servers, type Shard } from './servers.ts';
import { createServices, type Services } from './services.ts';
import { writeShardsFiles } from './shard-files.ts';
import { createShardSet, type ShardSet } from './shard-set.ts';
import { supervised } from './supervise.ts';

export interface Prepared {
  readonly servers: Omit<Servers, 'shards'>;
  readonly services: Services;
  readonly shards: ShardSet;
  readonly localPort: number;
  readonly adminToken: string;
  /** As it is now. */
  readonly describe: () => ClusterFile;
}

type Progress = (step: string) => void;

export async function prepare(dir: string, options: LocalClusterOptions, progress: Progress): Promise<Prepared> {
  const ground = await layGround(dir, options, progress);
  const { layout, secrets, servers, services, localPort } = ground;
  const localUrl = `http://127.0.0.1:${localPort}`;
  const describe = (): ClusterFile => describeCluster({ slots: layout.slots, topicPrefix: layout.topicPrefix, secrets, servers, services, shards, localUrl });
  const publish = (): void => writeClusterFile(dir, describe());
  const keep = (child: Child): void => {
    child.onChange(publish);
    supervised(child, { restart: options.supervise ?? true, report: progress });
  };
  const shards = shardsThatChange({ ground, keep, publish, progress });
  const { ringManagers, writers, orchestrators, gateways } = services;
  for (const child of [...servers.brokers, servers.control, ...shards.servers, ...ringManagers, ...writers, ...orchestrators, ...gateways]) keep(child);
  return { servers, services, shards, localPort, adminToken: secrets.adminToken, describe };
}

interface Ground {
  readonly dir: string;
  readonly configDir: string;
  readonly logDir: string;
  readonly durable: boolean | undefined;
  readonly layout: Layout;
  readonly secrets: Secrets;
  readonly servers: Servers;
  readonly services: Services;
  readonly localPort: number;
}

async function layGround(dir: string, options: LocalClusterOptions, progress: Progress): Promise<Ground> {
  const { ringManagers = 1, writers = 1, orchestrators = 1, gateways = 1, durable, env, tune, port: gatewayPort } = options;
  const configDir = join(dir, 'config');
  const logDir = join(dir, 'logs');
  const layout = layoutOf(dir, options);
  saveLayout(dir, layout);
  const secrets = secretsOf(dir, postgresNames(layout));
  rotateLogs(logDir);
  progress(`preparing ${layout.brokers} Kafka broker(s) and ${layout.shards.length + 1} Postgres servers`);
  const servers = await createServers({ dir, logDir, layout, secrets, durable });
  const services = await createServices({ configDir, logDir, layout, secrets, servers, ringManagers, writers, orchestrators, gateways, gatewayPort, env, tune });
  const localPort = await freePort(layout.ports['local']);
  const ports = { ...layout.ports, ...portsOf(servers), ...services.ports, local: localPort };
  saveLayout(dir, { ...layout, ports });
  return { dir, configDir, logDir, durable, layout: { ...layout, ports }, secrets, servers, services, localPort };
}

interface Changing {
  readonly ground: Ground;
  readonly keep: (child: Child) => void;
  readonly publish: () => void;
  readonly progress: Progress;
}

/** The shards, and how layout.json, the files of the services and cluster.json follow them. */
function shardsThatChange({ ground, keep, publish, progress }: Changing): ShardSet {
  const { dir, configDir, logDir, durable, servers } = ground;
  let { layout } = ground;
  return createShardSet({
    shards: servers.shards,
    make: async (id) => {
      progress(`starting shard-${id}`);
      const secrets = secretsOf(dir, [...postgresNames(layout), ...postgresNames({ shards: [id] })]);
      const shard = await createShard({ dir, logDir, layout, secrets, durable }, id);
      keep(shard.postgres);
      return shard;
    },
    save: (now) => {
      // A shard that has left keeps its port: the services know a shard of its name by the old address.
      const ports = { ...layout.ports, ...portsOf({ ...servers, shards: now }) };
      layout = { ...layout, shards: now.map(({ id }: Shard) => id), ports };
      saveLayout(dir, layout); // first: it decides what the next start brings up
      writeShardsFiles(configDir, now);
      publish();
    },
    mayGo: async ({ id, postgres }) => {
      await refuseMember(servers.control.url, id);
      const rows = await refuseOwner(postgres.url, id);
      progress(`stopping shard-${id}`);
      return rows;
    },
    deleteData: (id) => removeHome(shardDir(dir, id)),
  });
}
