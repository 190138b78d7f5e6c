/** The running cluster as `cluster.json` tells it. */
import { must } from '@millrace/write';

import type { Child } from './child.ts';
import type { ClusterFile } from './cluster-file.ts';
import type { Layout } from './layout.ts';
import { markOf } from './proc.ts';
import { TENANT, type Secrets } from './secrets.ts';
import type { Servers } from './servers.ts';
import type { Services } from './services.ts';

export interface Described {
  readonly layout: Layout;
  readonly secrets: Secrets;
  readonly servers: Servers;
  readonly services: Services;
}

export function describeCluster({ layout, secrets, servers, services }: Described): ClusterFile {
  const { brokers, control, shards } = servers;
  const all = [...services.gateways, ...services.writers, services.ringManager];
  return {
    gateway: services.gatewayUrl,
    admin: services.adminUrl,
    apiKey: secrets.apiKey,
    adminToken: secrets.adminToken,
    tenant: TENANT,
    kafka: brokers.map((broker) => broker.address),
    control: control.url,
    controlPid: control.pid ?? null,
    slots: layout.slots,
    topicPrefix: layout.topicPrefix,
    shards: shards.map(({ id, postgres }) => ({ id, url: postgres.url, pid: postgres.pid ?? null })),
    services: all.toReversed().map(({ name, pid, metrics }) => ({ name, pid: pid ?? null, metrics })),
    brokers: brokers.map(({ id, pid, port }) => ({ id, pid: pid ?? null, port })),
    supervisor: must(markOf(process.pid), 'this process runs'),
    processes: [...all, ...brokers, ...shards.map((shard) => shard.postgres), control].flatMap(markedProcess),
  };
}

function markedProcess({ name, mark, stopSignal }: Child): ClusterFile['processes'] {
  return mark === undefined ? [] : [{ name, ...mark, stopSignal }];
}
