/**
 * The ring-manager: owns the topology. Makes topics and shards ready and writes the first epoch; serves the admin API;
 * and, where it holds the lease, drives moves and announces what comes of them.
 */
import { readAdminToken } from '@millrace/admin';
import { createKafka, KafkaUnavailable, ProduceUnknown, waitForKafka } from '@millrace/kafka';
import { createDatabase, PgError } from '@millrace/postgres';
import { createLog, createRegistry, retry, run, startOpsServer } from '@millrace/runtime';
import { createShards, createTopologyFollower } from '@millrace/topology';
import { topicNames } from '@millrace/wire';
import { routesOf } from './api/routes.ts';
import { startAdmin } from './api/server.ts';
import { configOf } from './config.ts';
import { addressedAnew } from './control/addresses.ts';
import { createLeadership } from './control/leadership.ts';
import { runEngine } from './engine/engine.ts';
import { establish } from './establish.ts';
import { healthOf, type Progress } from './health.ts';
import { CONTROL_POOL, DRAIN_TIMEOUT_MS, ESTABLISH_RETRY, LEASE, LEASE_POOL, OWNER_POOL, shardPoolMax } from './limits.ts';
import { createRingMetrics, observeRing } from './metrics.ts';
import { driveMove, verifyMove } from './move/drive.ts';
import { createPace } from './move/pace.ts';
import { slotStatistics } from './move/statistics.ts';
import type { DriveInput } from './move/types.ts';
import { prepareLater } from './prepare-later.ts';
import { createAnnouncer } from './publish.ts';

const config = configOf(process.env);
const log = createLog({ name: config.instance, level: config.logLevel });

await run({
  name: config.instance,
  log,
  drainTimeoutMs: DRAIN_TIMEOUT_MS,
  async start(life) {
    const { instance } = config;
    const registry = createRegistry();
    const token = readAdminToken(config.admin.tokenFile);
    const ofControl = { url: config.controlUrl, applicationName: instance, log, registry };
    const control = createDatabase({ ...CONTROL_POOL, ...ofControl, name: 'control' });
    life.onDrain('control database', () => control.end());
    const lease = createDatabase({ ...LEASE_POOL, ...ofControl, name: 'lease' });
    life.onDrain('lease', () => lease.end());
    const shards = createShards({ file: config.shardsFile, log, settings: { ...OWNER_POOL, poolMax: shardPoolMax(config.moves.movesMax), applicationName: instance, registry } });
    life.onDrain('shards', () => shards.end());

    const progress: Progress = { established: false, leadership: undefined };
    const ops = await startOpsServer({ ...config.ops, registry, health: () => healthOf(progress), log });
    life.onDrain('ops', () => ops.close());

    const kafka = createKafka({ brokers: config.kafkaBrokers, clientId: instance, log });
    await waitForKafka({ kafka, signal: life.signal, log });
    const { cluster, missing } = await retry(() => establish({ ...config, control, shards, kafka, log }), {
      ...ESTABLISH_RETRY,
      signal: life.signal,
      retryable: isWeather,
      onRetry: ({ error, delayMs }) => log.warn({ reason: String(error), delayMs }, 'not ready yet; trying again'),
    });
    prepareLater({ control, shards, cluster, missing, signal: life.signal, log }).catch(life.fail);
    const follower = await createTopologyFollower({ control, log, signal: life.signal });
    life.onDrain('topology', () => follower.stop());

    const announcer = createAnnouncer({ kafka, topic: topicNames(config.topicPrefix).topology, log });
    life.onDrain('announcements', () => announcer.stop());
    const metrics = createRingMetrics(registry);
    const pace = createPace({ bytesPerSecondMax: config.moves.bytesPerSecondMax, duty: config.moves.duty });
    const engine = { ...config.moves, control, database: shards.get, drive: (input: DriveInput) => driveMove({ ...input, database: addressedAnew(shards) }), announce: announcer.announce, pace, instance, metrics, log };
    const leadership = createLeadership({ lease, holder: instance, lead: (term) => runEngine(engine, term).finally(() => metrics.idle()), timing: LEASE, log });
    life.onDrain('leadership', () => leadership.stop());
    observeRing(registry, { token: leadership.token, epoch: () => follower.current().epoch });

    const routes = routesOf({ control, shards, cluster, limits: config.moves, statistics: slotStatistics, verify: verifyMove, topology: follower.current, log });
    const admin = await startAdmin({ ...config.admin, token, routes, log });
    life.onDrain('admin', () => admin.close());
    Object.assign(progress, { established: true, leadership });
  },
});

function isWeather(error: unknown): boolean {
  return (error instanceof PgError && error.retryable) || error instanceof KafkaUnavailable || error instanceof ProduceUnknown;
}
