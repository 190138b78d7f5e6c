/** The ring-manager: owns the topology. Makes topics and shards ready, writes the first epoch, announces and serves it. */
import { readFileSync } from 'node:fs';
import { createKafka, KafkaUnavailable, ProduceUnknown, waitForKafka } from '@millrace/kafka';
import { createDatabase, PgError } from '@millrace/postgres';
import { createLog, createRegistry, retry, run, startOpsServer } from '@millrace/runtime';
import { createShards, createTopologyFollower } from '@millrace/topology';
import { topicNames } from '@millrace/wire';
import { assert } from '@millrace/write';
import { startAdmin } from './admin.ts';
import { configOf } from './config.ts';
import { establish } from './establish.ts';
import { ADMIN_TOKEN_LENGTH_MIN, DRAIN_TIMEOUT_MS, ESTABLISH_RETRY, OWNER_POOL } from './limits.ts';
import { publishTopology } from './publish.ts';

const config = configOf(process.env);
const log = createLog({ name: config.instance, level: config.logLevel });

await run({
  name: config.instance,
  log,
  drainTimeoutMs: DRAIN_TIMEOUT_MS,
  async start(life) {
    const registry = createRegistry();
    const token = readFileSync(config.admin.tokenFile, 'utf8').trim();
    assert(token.length >= ADMIN_TOKEN_LENGTH_MIN, `ADMIN_TOKEN_FILE holds at least ${ADMIN_TOKEN_LENGTH_MIN} characters`);
    const control = createDatabase({ ...OWNER_POOL, url: config.controlUrl, applicationName: config.instance, name: 'control', log, registry });
    life.onDrain('control database', () => control.end());
    const shards = createShards({ file: config.shardsFile, log, settings: { ...OWNER_POOL, applicationName: config.instance, registry } });
    life.onDrain('shards', () => shards.end());

    let published = false;
    const health = () => ({ live: [], ready: [{ name: 'topology', ok: published, detail: published ? 'published' : 'not published yet' }] });
    const ops = await startOpsServer({ ...config.ops, registry, health, log });
    life.onDrain('ops', () => ops.close());

    const kafka = createKafka({ brokers: config.kafkaBrokers, clientId: config.instance, log });
    await waitForKafka({ kafka, signal: life.signal, log });
    const patiently = <T>(work: () => Promise<T>): Promise<T> =>
      retry(work, { ...ESTABLISH_RETRY, signal: life.signal, retryable: isWeather, onRetry: ({ error, delayMs }) => log.warn({ reason: String(error), delayMs }, 'not ready yet; trying again') });
    const topology = await patiently(() => establish({ ...config, control, shards, kafka, log }));
    await patiently(() => publishTopology({ kafka, topic: topicNames(config.topicPrefix).topology, topology, log }));
    const follower = await createTopologyFollower({ control, log, signal: life.signal });
    life.onDrain('topology', () => follower.stop());
    const admin = await startAdmin({ ...config.admin, token, topology: follower.current });
    life.onDrain('admin', () => admin.close());
    published = true;
  },
});

function isWeather(error: unknown): boolean {
  return (error instanceof PgError && error.retryable) || error instanceof KafkaUnavailable || error instanceof ProduceUnknown;
}
