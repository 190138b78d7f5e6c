/** Connections of a command to the servers of its target; all are closed when the work ends. */
import { createKafka, type KafkaClient } from '@millrace/kafka';
import { createDatabase, type Database } from '@millrace/postgres';
import type { Topology } from '@millrace/ring';
import { createLog } from '@millrace/runtime';
import { createShards, readTopology, type Shards } from '@millrace/topology';

import type { Target } from './target.ts';
import { UsageError } from './usage-error.ts';

export interface Connections {
  readonly kafka: KafkaClient;
  readonly control: Database;
  readonly shards: Shards;
  readonly topicPrefix: string;
  /** Read from the control database. @throws UsageError before the ring-manager has written one. */
  topology(): Promise<Topology>;
}

const APPLICATION = 'millrace-cli';
/** The ledger checker reads whole slots in one snapshot. */
const POOL = { poolMax: 4, statementTimeoutMs: 120_000, idleInTransactionTimeoutMs: 600_000, connectTimeoutMs: 5_000 };

export async function connected<T>(target: Target, work: (connections: Connections) => Promise<T>): Promise<T> {
  const log = createLog({ name: APPLICATION, level: 'silent' }); // what matters is thrown
  const settings = { ...POOL, applicationName: APPLICATION };
  const control = createDatabase({ ...settings, url: target.controlUrl, name: 'control', log });
  const shards = createShards({ file: target.shardsFile, log, settings });
  const kafka = createKafka({ brokers: target.kafkaBrokers, clientId: APPLICATION, log });
  const topology = async (): Promise<Topology> => {
    const newest = await readTopology(control);
    if (newest === undefined) throw new UsageError('The cluster has no topology yet: is the ring-manager running?');
    return newest;
  };
  try {
    return await work({ kafka, control, shards, topicPrefix: target.topicPrefix, topology });
  } finally {
    await Promise.all([control.end(), shards.end()]);
  }
}
