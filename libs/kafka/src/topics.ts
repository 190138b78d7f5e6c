/** Topics are made in one place, with their shape checked: a topic with another number of partitions is another ring. */
import { backoffMs, sleep, type Log } from '@millrace/runtime';
import kafkajs from 'kafkajs';
import type { Admin } from 'kafkajs';
import { withAdmin } from './admin.ts';
import { KafkaUnavailable, TopicMismatch } from './errors.ts';
import { topicOffsets } from './offsets.ts';
import type { KafkaClient, TopicSpec } from './types.ts';

const LEADERS_WAIT_MAX_MS = 250;

/**
 * Makes the topics that are missing and waits until every partition has a leader that serves.
 * Safe to run by several processes at once. Changes nothing about a topic that exists.
 * @throws TopicMismatch where one exists in another shape; KafkaUnavailable after `timeoutMs`.
 */
export async function ensureTopics(options: {
  readonly kafka: KafkaClient;
  readonly topics: readonly TopicSpec[];
  readonly timeoutMs: number;
  readonly log: Log;
}): Promise<void> {
  const { kafka, topics, timeoutMs, log } = options;
  const deadlineAtMs = Date.now() + timeoutMs;
  await withAdmin(kafka, async (admin) => {
    const existing = new Set(await admin.listTopics());
    const missing = topics.filter(({ name }) => !existing.has(name));
    if (missing.length > 0) await create(admin, missing, timeoutMs);
    if (missing.length > 0) log.info({ topics: missing.map(({ name }) => name) }, 'topics created');
    for (const topic of topics) await checkShape(admin, topic, deadlineAtMs);
    for (const topic of topics) await checkConfig(admin, topic);
    // A leader that is named may not serve yet: kafkajs consumers would join again and again, a produce be tried again.
    for (const { name } of missing) await untilServed(kafka, name, timeoutMs);
  });
}

async function untilServed(kafka: KafkaClient, topic: string, timeoutMs: number): Promise<void> {
  const signal = AbortSignal.timeout(timeoutMs);
  await topicOffsets({ kafka, topic, signal }).catch((error: unknown) => {
    throw signal.aborted ? new KafkaUnavailable(`the leaders of ${topic} do not serve after ${timeoutMs} ms`, { cause: error }) : error;
  });
}

async function create(admin: Admin, topics: readonly TopicSpec[], timeoutMs: number): Promise<void> {
  await admin.createTopics({
    waitForLeaders: false, // checked below, for topics that another process makes as well
    timeout: timeoutMs,
    topics: topics.map(({ name, partitions, replicationFactor, config }) => ({
      topic: name,
      numPartitions: partitions,
      replicationFactor,
      configEntries: Object.entries(config).map(([key, value]) => ({ name: key, value })),
    })),
  });
}

async function checkShape(admin: Admin, topic: TopicSpec, deadlineAtMs: number): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    const partitions = await partitionsOf(admin, topic.name);
    if (partitions.length > 0) throwOnMismatch(topic, shapeProblems(topic, partitions));
    if (partitions.length > 0 && partitions.every(({ leader }) => leader >= 0)) return;
    if (Date.now() > deadlineAtMs) throw new KafkaUnavailable(`topic ${topic.name} has partitions without a leader`);
    await sleep(backoffMs(attempt, { baseMs: 20, maxMs: LEADERS_WAIT_MAX_MS }));
  }
}

interface Partition {
  readonly leader: number;
  readonly replicas: readonly number[];
}

/** Nothing while the broker that answers does not know the topic yet. */
async function partitionsOf(admin: Admin, name: string): Promise<readonly Partition[]> {
  try {
    const { topics } = await admin.fetchTopicMetadata({ topics: [name] });
    return topics.find((topic) => topic.name === name)?.partitions ?? [];
  } catch (error) {
    if (error instanceof kafkajs.KafkaJSError) return [];
    if (error instanceof TypeError) return []; // what kafkajs makes of a metadata answer without the topic
    throw error;
  }
}

function shapeProblems(topic: TopicSpec, partitions: readonly Partition[]): readonly string[] {
  const problems: string[] = [];
  if (partitions.length !== topic.partitions) {
    problems.push(
      `it has ${partitions.length} partitions, the configuration says ${topic.partitions} slots. The number of slots ` +
        'is fixed for life: set it back, or use another topic prefix for a new cluster',
    );
  }
  const replicas = Math.min(...partitions.map((partition) => partition.replicas.length));
  if (replicas < topic.replicationFactor) {
    problems.push(
      `it has ${replicas} replicas, ${topic.replicationFactor} are wanted: reassign its partitions ` +
        '(kafka-reassign-partitions), or lower the replication factor in the configuration',
    );
  }
  return problems;
}

async function checkConfig(admin: Admin, topic: TopicSpec): Promise<void> {
  const names = Object.keys(topic.config);
  if (names.length === 0) return;
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: kafkajs.ConfigResourceTypes.TOPIC, name: topic.name, configNames: names }],
  });
  const actual = new Map(resources.flatMap(({ configEntries }) => configEntries.map((entry) => [entry.configName, entry.configValue])));
  const problems = names
    .filter((name) => actual.get(name) !== topic.config[name])
    .map((name) => `${name} is ${actual.get(name) ?? 'unknown'}, ${topic.config[name] ?? ''} is wanted: kafka-configs --alter --add-config ${name}=${topic.config[name] ?? ''}`);
  throwOnMismatch(topic, problems);
}

function throwOnMismatch(topic: TopicSpec, problems: readonly string[]): void {
  if (problems.length > 0) throw new TopicMismatch(topic.name, problems);
}
