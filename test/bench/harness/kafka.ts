/** Topics of a benchmark: made like Millrace's, filled, measured, removed. */
import { setTimeout as delay } from 'node:timers/promises';
import { Kafka, logLevel, type Admin } from 'kafkajs';
import { slotOf } from '@millrace/ring';
import { topicSettings } from '@millrace/wire';

const RECORDS_PER_REQUEST = 1_000;
const REQUESTS_IN_FLIGHT = 2;
const LEADERS_TIMEOUT_MS = 30_000;

export interface Filler {
  readonly key: string;
  readonly value: string;
}

export function kafkaOf(brokers: readonly string[]): Kafka {
  return new Kafka({ clientId: 'bench', brokers: [...brokers], logLevel: logLevel.ERROR, retry: { retries: 20, initialRetryTime: 100, maxRetryTime: 2_000 } });
}

/** A topic with the settings of `writes`, for a peer. */
export async function createTopic(brokers: readonly string[], { topic, partitions }: { topic: string; partitions: number }): Promise<void> {
  const settings = topicSettings({ prefix: '', slots: partitions, minInsync: 1 })[0];
  await withAdmin(brokers, async (admin) => {
    const configEntries = Object.entries(settings?.config ?? {}).map(([name, value]) => ({ name, value }));
    await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: partitions, replicationFactor: 1, configEntries }] });
    await untilLed(admin, topic);
  });
}

export async function deleteTopics(brokers: readonly string[], prefix: string): Promise<void> {
  await withAdmin(brokers, async (admin) => {
    const topics = (await admin.listTopics()).filter((topic) => topic.startsWith(prefix));
    if (topics.length === 0) return;
    await admin.deleteTopics({ topics });
    while ((await admin.listTopics()).some((topic) => topic.startsWith(prefix))) await delay(100);
  });
}

/** How many records a topic holds, over all partitions. */
export async function recordsIn(brokers: readonly string[], topic: string): Promise<number> {
  return await withAdmin(brokers, async (admin) => {
    const offsets = await admin.fetchTopicOffsets(topic);
    return offsets.reduce((sum, { high, low }) => sum + Number(high) - Number(low), 0);
  });
}

/** Produces records to the slots of their keys, in order for each key. Requests are large and few in flight. */
export async function fill(brokers: readonly string[], { topic, partitions, records }: { topic: string; partitions: number; records: Iterable<Filler> }): Promise<void> {
  const producer = kafkaOf(brokers).producer({ allowAutoTopicCreation: false, maxInFlightRequests: REQUESTS_IN_FLIGHT });
  await producer.connect();
  let messages: { key: string; value: string; partition: number }[] = [];
  const flush = async () => {
    await producer.send({ topic, acks: -1, messages });
    messages = [];
  };
  for (const { key, value } of records) {
    messages.push({ key, value, partition: slotOf(key, partitions) });
    if (messages.length === RECORDS_PER_REQUEST) await flush();
  }
  if (messages.length > 0) await flush();
  await producer.disconnect();
}

/** A leader that is named may not answer yet, and a record sent too early is stored twice by the retry. */
async function untilLed(admin: Admin, topic: string): Promise<void> {
  const deadline = performance.now() + LEADERS_TIMEOUT_MS;
  for (;;) {
    try {
      await admin.fetchTopicOffsets(topic);
      return;
    } catch (error) {
      if (!isRetriable(error) || performance.now() > deadline) throw error;
      await delay(100);
    }
  }
}

async function withAdmin<T>(brokers: readonly string[], work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafkaOf(brokers).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

function isRetriable(error: unknown): boolean {
  return error instanceof Error && 'retriable' in error && error.retriable === true;
}
