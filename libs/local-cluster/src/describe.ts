/** The running cluster as `cluster.json` tells it. */
import { must } from '@millrace/write';

import type { Child } from './child.ts';
import type { ClusterFile } from './cluster-file.ts';
import { markOf } from './proc.ts';
import { TENANT, type Secrets } from './secrets.ts';
import type { Servers } from './servers.ts';
import type { Services } from './services.ts';
import type { ShardSet } from './shard-set.ts';

export interface Described {
  readonly slots: number;
  readonly topicPrefix: string;
  readonly secrets: Secrets;
  readonly servers: Omit<Servers, 'shards'>;
  readonly services: Services;
  readonly shards: Pick<ShardSet, 'joined' | 'servers'>;
  readonly localUrl: string;
}

export function describeCluster({ slots, topicPrefix, secrets, servers, services, shards, localUrl }: Described): ClusterFile {
  const { brokers, control } = servers;
  const all = [...services.gateways, ...services.writers, ...services.orchestrators, ...services.ringManagers];
  return {
    gateway: must(services.gatewayUrls[0], 'there is a gateway'),
    admin: must(services.adminUrls[0], 'there is a ring-manager'),
    sagas: must(services.sagaUrls[0], 'there is a saga-orchestrator'),
    local: localUrl,
    apiKey: secrets.apiKey,
    adminToken: secrets.adminToken,
    tenant: TENANT,
    kafka: brokers.map((broker) => broker.address),
    control: control.url,
    controlPid: control.pid ?? null,
    slots,
    topicPrefix,
    shards: shards.joined.map(({ id, postgres }) => ({ id, url: postgres.url, pid: postgres.pid ?? null })),
    services: all.toReversed().map(({ name, pid, metrics }) => ({ name, pid: pid ?? null, metrics })),
    brokers: brokers.map(({ id, pid, port }) => ({ id, pid: pid ?? null, port })),
    supervisor: must(markOf(process.pid), 'this process runs'),
    processes: [...all, ...brokers, ...shards.servers, control].flatMap(markedProcess),
  };
}

function markedProcess({ name, mark, stopSignal }: Child): ClusterFile['processes'] {
  return mark === undefined ? [] : [{ name, ...mark, stopSignal }];
}
