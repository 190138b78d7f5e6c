/** The gateway, put together. What is opened first is closed last. */
import { createKafka, createLaneMetrics, createLanes, waitForKafka, type Lanes } from '@millrace/kafka';
import { createDatabase, type Database } from '@millrace/postgres';
import { createBreaker, createRegistry, startOpsServer, type Breaker, type Life, type Log, type Registry } from '@millrace/runtime';
import { createShards, createTopologyFollower, readAnnouncements, type Shards, type TopologyFollower } from '@millrace/topology';
import { topicNames } from '@millrace/wire';
import { createApiKeys } from './auth/api-keys.ts';
import { createApp } from './app.ts';
import { createBulkWrites } from './bulk/bulk.ts';
import type { GatewayConfig } from './config.ts';
import { drainServer } from './drain.ts';
import { createHealth } from './health.ts';
import { createBodyReader } from './http/body.ts';
import { createDeadlines } from './http/deadlines.ts';
import { assertLimits, limits as ours, type Limits } from './limits.ts';
import { createMetrics, observeLevels } from './metrics.ts';
import { openapiJson } from './openapi.ts';
import { createFollowSlot } from './read/follow.ts';
import { createInFlightReads } from './read/in-flight-reads.ts';
import { createOutcomes } from './read/outcomes.ts';
import { createStatusBatches } from './read/status-batches.ts';
import { createWaits } from './read/waits.ts';
import { createWatch } from './read/watch.ts';
import { accountRoutes } from './route/accounts.ts';
import { docsRoutes } from './route/docs.ts';
import { orderRoutes } from './route/orders.ts';
import { paymentRoutes } from './route/payments.ts';
import { createReads } from './route/reads.ts';
import { statusRoutes } from './route/statuses.ts';
import { stockRoutes } from './route/stock.ts';
import { transferRoutes } from './route/transfers.ts';
import { connectionsOf, createHttpServer, listen } from './server.ts';
import { createAdmission, createLaneWatch } from './write/admission.ts';
import { createInFlight } from './write/in-flight.ts';
import { createRecentWrites } from './write/recent.ts';
import { createSingleWrites } from './write/single.ts';

export interface Gateway {
  /** Where clients send. */
  readonly url: string;
  /** Where operators look. */
  readonly opsUrl: string;
}

export interface GatewayOptions {
  readonly config: GatewayConfig;
  readonly log: Log;
  readonly life: Life;
  /** The gateway's own where absent. */
  readonly limits?: Limits;
}

const DEADLINE_TICK_MS = 50;
const DATABASE = { poolMax: 4, statementTimeoutMs: 5_000, idleInTransactionTimeoutMs: 5_000, connectTimeoutMs: 3_000 };

export async function startGateway({ config, log, life, limits = ours }: GatewayOptions): Promise<Gateway> {
  assertLimits(limits);
  const registry = createRegistry();
  const breaker = createBreaker({ name: 'kafka', resetMs: limits.breakerResetMs, volumeThreshold: limits.breakerVolume, log, registry });
  life.onDrain('breaker', () => breaker.shutdown());
  const health = createHealth({ breaker, draining: () => life.signal.aborted });
  const ops = await startOpsServer({ host: config.opsHost, port: config.opsPort, registry, health: health.read, log });
  life.onDrain('ops server', () => ops.close());
  const data = await openData({ config, log, life }, registry);
  const lanes = await openLanes({ config, log, life, limits }, { breaker, registry });
  const url = await serve({ config, log, life, limits }, { registry, breaker, lanes, ...data });
  health.serving(lanes);
  log.info({ url, ops: ops.url, epoch: data.topology.current().epoch }, 'gateway listens');
  return { url, opsUrl: ops.url };
}

interface Data {
  readonly topology: TopologyFollower;
  readonly shards: Shards;
}

async function openData({ config, log, life }: GatewayOptions, registry: Registry): Promise<Data> {
  const applicationName = config.instance;
  const control = createDatabase({ ...DATABASE, poolMax: 1, applicationName, url: config.controlUrl, name: 'control', log, registry });
  life.onDrain('control database', () => control.end());
  const shards = createShards({ file: config.shardsFile, log, settings: { ...DATABASE, applicationName, registry } });
  life.onDrain('shards', () => shards.end());
  const kafka = createKafka({ brokers: config.brokers, clientId: config.instance, log });
  const announcements = readAnnouncements({ kafka, topic: topicNames(config.topicPrefix).topology, log });
  const topology = await createTopologyFollower({ control, log, signal: life.signal, announcements });
  life.onDrain('topology', () => topology.stop());
  return { topology, shards };
}

async function openLanes({ config, log, life, limits }: Required<GatewayOptions>, { breaker, registry }: { breaker: Breaker; registry: Registry }): Promise<Lanes> {
  const topic = topicNames(config.topicPrefix).writes;
  const kafka = createKafka({ brokers: config.brokers, clientId: config.instance, log });
  await waitForKafka({ kafka, signal: life.signal, log });
  const watch = createLaneWatch({ breaker, metrics: createLaneMetrics({ registry, topic }), limits });
  const lanes = await createLanes({
    kafka,
    topic,
    log,
    metrics: watch.metrics,
    limits: {
      recordsPerRequestMax: limits.laneRecordsPerRequestMax,
      queuedRecordsMax: limits.laneQueuedRecordsMax,
      queuedBytesMax: limits.laneQueuedBytesMax,
      requestTimeoutMs: limits.produceTimeoutMs,
      gatherMs: limits.laneGatherMs,
    },
  });
  life.onDrain('lanes', () => lanes.close());
  watch.start(lanes);
  life.onDrain('lane watch', () => watch.stop());
  return lanes;
}

interface Parts extends Data {
  readonly registry: Registry;
  readonly breaker: Breaker;
  readonly lanes: Lanes;
}

async function serve({ config, log, life, limits }: Required<GatewayOptions>, { registry, breaker, lanes, topology, shards }: Parts): Promise<string> {
  const metrics = createMetrics(registry);
  const draining = (): boolean => life.signal.aborted;
  const closing = (): readonly string[] => (draining() ? ['Connection', 'close'] : []);
  const { slots } = topology.current();
  const deadlines = createDeadlines(DEADLINE_TICK_MS);
  const keys = createApiKeys({ file: config.apiKeysFile, keysMax: limits.apiKeysMax, log, onReload: metrics.keysReload });
  life.onDrain('api keys', () => keys.stop());

  const database = (id: Parameters<Shards['get']>[0]): Database => shards.get(id);
  const watch = createWatch({ database, deadlines, limits, log });
  const waits = createWaits(limits);
  const follow = createFollowSlot({ topology, database, watch, waits, log });
  const outcomes = createOutcomes({ follow, batches: createStatusBatches(limits.statusBatchMax), limits, log });
  const inFlight = createInFlight(limits);
  const bodies = createBodyReader({ limits, deadlines, inFlight });
  const admission = createAdmission({ breaker, draining });
  const recent = createRecentWrites(limits.recentWritesMax);
  const singles = createSingleWrites({ keys, admission, inFlight, bodies, recent, lanes, outcomes, slots, limits, metrics, log, draining });
  const bulk = createBulkWrites({ keys, admission, bodies, lanes, slots, limits, deadlines, metrics, log });

  const inFlightReads = createInFlightReads(limits);
  const reads = createReads({ keys, follow, outcomes, inFlight: inFlightReads, slots, limits, metrics, closing });
  const routers = [
    statusRoutes({ keys, outcomes, inFlight: inFlightReads, slots, limits, metrics, closing }),
    accountRoutes(reads),
    paymentRoutes(reads),
    orderRoutes(reads),
    transferRoutes(reads),
    stockRoutes(reads),
    docsRoutes(openapiJson()),
  ];
  const server = createHttpServer(limits, createApp({ singles, bulk, routers, bodies, metrics, log }));
  server.on('drop', metrics.connectionDropped);
  observeLevels(registry, {
    inFlightRecords: inFlight.records,
    inFlightBytes: inFlight.bytes,
    inFlightReads: inFlightReads.count,
    waiters: waits.count,
    recentWrites: recent.size,
    bulkStreams: bulk.streams,
    connections: () => connectionsOf(server),
  });
  life.onDrain('deadlines', () => deadlines.stop());
  const url = await listen(server, config);
  life.onDrain('http server', () => drainServer(server, bulk));
  return url;
}
