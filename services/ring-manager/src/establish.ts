/**
 * Brings a cluster into being, or finds it as it is: topics, control database, shards, topology. Safe to repeat.
 *
 * The order matters: nobody may see a topology whose topics or shards are not there yet.
 */
import { ensureTopics, type KafkaClient } from '@millrace/kafka';
import { ensureRoles, migrate, READER_ROLE, WRITER_ROLE, type Database } from '@millrace/postgres';
import { createTopology, slotsOf, spread, type Topology } from '@millrace/ring';
import type { Log } from '@millrace/runtime';
import { prepareShard, seedSlots } from '@millrace/slot-processor';
import { controlMigrations, identifyCluster, proposeTopology, readTopology, type Cluster, type Shards } from '@millrace/topology';
import { topicSettings } from '@millrace/wire';
import { must, type Epoch } from '@millrace/write';
import { TOPICS_TIMEOUT_MS } from './limits.ts';

export interface EstablishInput {
  readonly control: Database;
  readonly shards: Shards;
  readonly kafka: KafkaClient;
  readonly topicPrefix: string;
  readonly slots: number;
  readonly replicationFactor: number;
  readonly minInsync: number;
  readonly log: Log;
}

const FIRST_EPOCH = 1 as Epoch;

/** The number of slots is for life: keys would change their slots. */
export class SlotsChanged extends Error {
  override readonly name = 'SlotsChanged';
  readonly code = 'slots_changed';
  readonly retryable = false;

  constructor(wanted: number, cluster: Cluster) {
    super(`SLOTS is ${wanted}, but cluster ${cluster.id} was made with ${cluster.slots} slots, for life: set SLOTS=${cluster.slots}`);
  }
}

/** @throws SlotsChanged, TopicMismatch, ForeignShard: an operator decides. PgError, KafkaUnavailable: try again. */
export async function establish(input: EstablishInput): Promise<Topology> {
  const cluster = await establishControl(input);
  await establishTopics(input);
  for (const shard of input.shards.ids()) {
    await prepareShard({ database: input.shards.get(shard), identity: { clusterId: cluster.id, shard, slots: cluster.slots }, log: input.log });
  }
  const topology = (await readTopology(input.control)) ?? (await proposeFirst(input));
  if (topology.epoch > FIRST_EPOCH) return topology;
  for (const shard of input.shards.ids()) {
    await seedSlots(input.shards.get(shard), { epoch: FIRST_EPOCH, slots: slotsOf(topology, shard) });
  }
  return topology;
}

async function establishControl({ control, slots, log }: EstablishInput): Promise<Cluster> {
  await ensureRoles(control);
  await migrate({ database: control, migrations: controlMigrations, log });
  await control.query({ text: `grant select on cluster, topology to ${READER_ROLE}, ${WRITER_ROLE}` });
  const cluster = await identifyCluster(control, slots);
  if (cluster.slots !== slots) throw new SlotsChanged(slots, cluster);
  return cluster;
}

async function establishTopics({ kafka, topicPrefix, slots, minInsync, replicationFactor, log }: EstablishInput): Promise<void> {
  const topics = topicSettings({ prefix: topicPrefix, slots, minInsync }).map((settings) => ({ ...settings, replicationFactor }));
  await ensureTopics({ kafka, topics, timeoutMs: TOPICS_TIMEOUT_MS, log });
}

async function proposeFirst({ control, shards, slots, log }: EstablishInput): Promise<Topology> {
  const owners = spread(slots, shards.ids());
  const proposed = await proposeTopology(control, createTopology({ epoch: FIRST_EPOCH, owners }), { author: 'ring-manager', reason: 'first topology' });
  log.info({ proposed, shards: shards.ids() }, 'first topology');
  return must(await readTopology(control), 'R2: a topology is there once one was proposed');
}
