/**
 * A process that runs a stream: control database, topology, shards, Kafka, lanes for events and messages, and the slot
 * processor, opened in this order and drained in the other.
 */
import { createKafka, createLaneMetrics, createLanes, waitForKafka, type Lanes } from '@millrace/kafka';
import { createDatabase } from '@millrace/postgres';
import { createRegistry, startOpsServer, type Check, type Life, type Log, type Registry } from '@millrace/runtime';
import { createShards, createTopologyFollower, readAnnouncements, type Shards, type TopologyFollower } from '@millrace/topology';
import { topicNames } from '@millrace/wire';
import type { Stream } from '@millrace/write';
import type { OnCommitted } from './lane.ts';
import type { StreamModel } from './model.ts';
import { createSlotProcessor, type SlotProcessor } from './processor.ts';
import { CONTROL_POOL, DRAIN, LANES, SHARD_POOL } from './service-limits.ts';
import { onDrainWithin } from './within.ts';

export interface StreamServiceConfig {
  readonly kafkaBrokers: readonly string[];
  readonly controlUrl: string;
  readonly shardsFile: string;
  readonly topicPrefix: string;
  readonly groupId: string;
  readonly instance: string;
  readonly ops: { readonly host: string; readonly port: number };
}

export interface StreamServiceInput {
  readonly life: Life;
  readonly log: Log;
  readonly config: StreamServiceConfig;
  readonly model: StreamModel;
  /** The streams that its records send messages to. */
  readonly sendsTo: readonly Stream[];
  readonly registry?: Registry;
  readonly onCommitted?: OnCommitted;
}

/** What a service may build on the stream that it runs. */
export interface StreamService {
  readonly processor: SlotProcessor;
  readonly topology: TopologyFollower;
  readonly shards: Shards;
  /** Lanes of a topic of this cluster, drained with the process. */
  lanesOf(stream: Stream): Promise<Lanes>;
}

const STARTING: readonly Check[] = [{ name: 'start', ok: false, detail: 'waits for the topology and for Kafka' }];

/** Resolves when everything is open; the stream runs once `processor.start` is called. */
export async function openStreamService({ life, log, config, model, sendsTo, registry = createRegistry(), onCommitted }: StreamServiceInput): Promise<StreamService> {
  const { instance } = config;
  const topics = topicNames(config.topicPrefix);
  let processor: SlotProcessor | undefined;
  const ops = await startOpsServer({ ...config.ops, registry, health: () => processor?.health() ?? { live: [], ready: STARTING }, log });
  onDrainWithin(life, 'ops', DRAIN.closeMs, () => ops.close());
  const control = createDatabase({ ...CONTROL_POOL, url: config.controlUrl, applicationName: instance, name: 'control', log, registry });
  onDrainWithin(life, 'control database', DRAIN.closeMs, () => control.end());
  const kafka = createKafka({ brokers: config.kafkaBrokers, clientId: instance, log });
  const announcements = readAnnouncements({ kafka, topic: topics.topology, log });
  const topology = await createTopologyFollower({ control, log, signal: life.signal, announcements });
  onDrainWithin(life, 'topology', DRAIN.closeMs, () => topology.stop());
  const shards = createShards({ file: config.shardsFile, log, settings: { ...SHARD_POOL, applicationName: instance, registry } });
  onDrainWithin(life, 'shards', DRAIN.closeMs, () => shards.end());

  await waitForKafka({ kafka, groupId: config.groupId, signal: life.signal, log });
  const open = async (topic: string): Promise<Lanes> => {
    const lanes = await createLanes({ kafka, topic, log, metrics: createLaneMetrics({ topic, registry }), limits: LANES });
    onDrainWithin(life, `lanes of ${topic}`, DRAIN.lanesMs, () => lanes.close());
    return lanes;
  };
  const streams = new Map<Stream, Lanes>();
  const lanesOf = async (stream: Stream): Promise<Lanes> => {
    const lanes = streams.get(stream) ?? (await open(topics[stream]));
    streams.set(stream, lanes);
    return lanes;
  };
  const outcomes = await open(topics.outcomes);
  for (const stream of sendsTo) await lanesOf(stream);

  processor = createSlotProcessor({
    model,
    kafka,
    groupId: config.groupId,
    topic: topics[model.stream],
    topology,
    shards,
    publishers: { outcomes, streams },
    log,
    registry,
    onFatal: life.fail,
    ...(onCommitted ? { onCommitted } : {}),
  });
  life.onDrain('slot processor', processor.stop);
  return { processor, topology, shards, lanesOf };
}
