/**
 * Brings a cluster into being, or finds it as it is: topics, control database, shards, topology. Safe to repeat.
 *
 * The order matters: nobody may see a topology whose topics or shards are not there yet.
 */
import { ensureTopics, type KafkaClient } from '@millrace/kafka';
import { ensureRoles, migrate, PgError, READER_ROLE, WRITER_ROLE, type Database, type Tx } from '@millrace/postgres';
import { createTopology, slotsOf, spread, type Topology } from '@millrace/ring';
import type { Log } from '@millrace/runtime';
import { prepareShard, seedSlots } from '@millrace/slot-processor';
import { controlMigrations, identifyCluster, proposeTopology, readTopology, UnknownShard, type Cluster, type Shards } from '@millrace/topology';
import { topicSettings } from '@millrace/wire';
import { must, type Epoch, type ShardId } from '@millrace/write';
import { changing } from './control/change.ts';
import { listMembers, seedMembers } from './control/members.sql.ts';
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

export interface Established {
  readonly cluster: Cluster;
  readonly topology: Topology;
  /** Members whose database did not answer: to be prepared later. Never any when the cluster is new. */
  readonly missing: readonly ShardId[];
}

/** @throws SlotsChanged, TopicMismatch, ForeignShard: an operator decides. PgError, KafkaUnavailable: try again. */
export async function establish(input: EstablishInput): Promise<Established> {
  const { control } = input;
  const cluster = await establishControl(input);
  await establishTopics(input);
  const missing = (await isEstablished(control)) ? await prepareMembers(input, cluster) : await establishFirst(input, cluster);
  return { cluster, topology: must(await readTopology(control), 'R2: a topology is there once one was proposed'), missing };
}

async function isEstablished(control: Database): Promise<boolean> {
  const rows = await control.query<{ done: boolean }>({ text: 'select established_at is not null as done from cluster' });
  return rows[0]?.done === true;
}

/** Every shard has to be there once: nobody else gives them their first slots. */
async function establishFirst(input: EstablishInput, cluster: Cluster): Promise<readonly ShardId[]> {
  const { control, shards } = input;
  if ((await readTopology(control)) === undefined) for (const shard of shards.ids()) await prepareMember(input, { cluster, shard });
  const topology = await changing(control, (tx) => proposeFirst(tx, input));
  for (const { shard } of await listMembers(control)) {
    await prepareMember(input, { cluster, shard });
    if (topology.epoch === FIRST_EPOCH) await seedSlots(shards.get(shard), { epoch: FIRST_EPOCH, slots: slotsOf(topology, shard) });
  }
  await control.query({ text: 'update cluster set established_at = now() where established_at is null' });
  return [];
}

/** A shard that does not answer keeps nobody from looking after the others. */
async function prepareMembers(input: EstablishInput, cluster: Cluster): Promise<readonly ShardId[]> {
  const members = await listMembers(input.control);
  const answers = await Promise.all(
    members.map(async ({ shard }) => {
      try {
        await prepareMember(input, { cluster, shard });
        return [];
      } catch (error) {
        if (!isAbsence(error)) throw error;
        input.log.warn({ shard, reason: String(error) }, 'a member does not answer; it is prepared later');
        return [shard];
      }
    }),
  );
  return answers.flat();
}

/** Makes sure of a member's tables and grants. @throws ForeignShard, WrongSchema, MigrationChanged, UnknownShard, PgError */
export async function prepareMember({ shards, log }: Pick<EstablishInput, 'shards' | 'log'>, { cluster, shard }: { readonly cluster: Cluster; readonly shard: ShardId }): Promise<void> {
  await prepareShard({ database: shards.renew(shard), identity: { clusterId: cluster.id, shard, slots: cluster.slots }, log });
}

function isAbsence(error: unknown): boolean {
  return (error instanceof PgError && error.retryable) || error instanceof UnknownShard;
}

async function establishControl({ control, slots, log }: EstablishInput): Promise<Cluster> {
  await ensureRoles(control);
  await migrate({ database: control, migrations: controlMigrations, log });
  await control.query({ text: `grant select on cluster, topology, move to ${READER_ROLE}, ${WRITER_ROLE}` });
  const cluster = await identifyCluster(control, slots);
  if (cluster.slots !== slots) throw new SlotsChanged(slots, cluster);
  return cluster;
}

async function establishTopics({ kafka, topicPrefix, slots, minInsync, replicationFactor, log }: EstablishInput): Promise<void> {
  const topics = topicSettings({ prefix: topicPrefix, slots, minInsync }).map((settings) => ({ ...settings, replicationFactor }));
  await ensureTopics({ kafka, topics, timeoutMs: TOPICS_TIMEOUT_MS, log });
}

/** The shards file says who is a member only of a cluster that has no topology yet. */
async function proposeFirst(tx: Tx, { shards, slots, log }: EstablishInput): Promise<Topology> {
  const known = await readTopology(tx);
  if (known === undefined) {
    const owners = spread(slots, shards.ids());
    const proposed = await proposeTopology(tx, createTopology({ epoch: FIRST_EPOCH, owners }), { author: 'ring-manager', reason: 'first topology' });
    log.info({ proposed, shards: shards.ids() }, 'first topology');
  }
  const topology = known ?? must(await readTopology(tx), 'R2: a topology is there once one was proposed');
  if ((await listMembers(tx)).length === 0) await seedMembers(tx, known === undefined ? shards.ids() : [...new Set(known.owners)]);
  return topology;
}
