/** The shard-writer: runs stream `writes` through the slot processor. */
import { createKafka, createLaneMetrics, createLanes, waitForKafka } from '@millrace/kafka';
import { createDatabase } from '@millrace/postgres';
import { createLog, createRegistry, run, startOpsServer, type Health } from '@millrace/runtime';
import { createSlotProcessor, type SlotProcessor } from '@millrace/slot-processor';
import { createShards, createTopologyFollower, readAnnouncements } from '@millrace/topology';
import { topicNames } from '@millrace/wire';
import { configOf } from './config.ts';
import { CONTROL_POOL, DRAIN_TIMEOUT_MS, OUTCOME_LANES, SHARD_POOL } from './limits.ts';
import { writesModel } from './model.ts';

const STARTING: Health = { live: [], ready: [{ name: 'start', ok: false, detail: 'waits for the topology and for Kafka' }] };
const config = configOf(process.env);
const log = createLog({ name: config.instance, level: config.logLevel });

await run({
  name: config.instance,
  log,
  drainTimeoutMs: DRAIN_TIMEOUT_MS,
  async start(life) {
    const registry = createRegistry();
    const topics = topicNames(config.topicPrefix);
    let processor: SlotProcessor | undefined;
    const ops = await startOpsServer({ ...config.ops, registry, health: () => processor?.health() ?? STARTING, log });
    life.onDrain('ops', () => ops.close());
    const control = createDatabase({ ...CONTROL_POOL, url: config.controlUrl, applicationName: config.instance, name: 'control', log, registry });
    life.onDrain('control database', () => control.end());
    const kafka = createKafka({ brokers: config.kafkaBrokers, clientId: config.instance, log });
    const announcements = readAnnouncements({ kafka, topic: topics.topology, log });
    const topology = await createTopologyFollower({ control, log, signal: life.signal, announcements });
    life.onDrain('topology', () => topology.stop());
    const shards = createShards({ file: config.shardsFile, log, settings: { ...SHARD_POOL, applicationName: config.instance, registry } });
    life.onDrain('shards', () => shards.end());

    await waitForKafka({ kafka, groupId: config.groupId, signal: life.signal, log });
    const outcomes = await createLanes({ kafka, topic: topics.outcomes, log, metrics: createLaneMetrics({ topic: topics.outcomes, registry }), limits: OUTCOME_LANES });
    life.onDrain('outcomes', () => outcomes.close());

    processor = createSlotProcessor({
      model: writesModel,
      kafka,
      groupId: config.groupId,
      topic: topics.writes,
      topology,
      shards,
      publishers: { outcomes, streams: new Map() },
      log,
      registry,
      onFatal: life.fail,
    });
    life.onDrain('slot processor', processor.stop);
    await processor.start();
  },
});
