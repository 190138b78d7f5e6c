/** Tailing a slot on real brokers that are killed, cut off, trimmed and made anew. */
import { describe, expect, test } from '@jest/globals';
import { createKafka, createLanes, ensureTopics, tailTopic, waitForKafka, type LaneLimits, type SlotRecord } from '@millrace/kafka';
import { startBrokers } from '@millrace/local-cluster';
import { startFaultProxy, until } from '@millrace/testkit';
import type { Admin } from 'kafkajs';
import { join } from 'node:path';
import { broker, dir, faulty, kafka, log, proxy, useBroker } from './faulty-broker.ts';

const LIMITS: LaneLimits = { recordsPerRequestMax: 50, queuedRecordsMax: 20_000, queuedBytesMax: 64 << 20, requestTimeoutMs: 30_000 };
let topics = 0;

useBroker();

async function newTopic(name = `tail-${(topics += 1)}`, on = kafka, replicationFactor = 1): Promise<string> {
  await ensureTopics({ kafka: on, topics: [{ name, partitions: 2, replicationFactor, config: {} }], timeoutMs: 30_000, log });
  return name;
}

/** Stores the values one behind the other in slot 0, with something else beside them in slot 1. */
async function store(topic: string, values: readonly string[], on = kafka): Promise<void> {
  const lanes = await createLanes({ kafka: on, topic, log, limits: LIMITS });
  await lanes.sendMany(values.flatMap((value) => [{ slot: 0, key: 'k', value }, { slot: 1, key: 'k', value: 'beside' }]));
  await lanes.close();
}

async function administer(work: (admin: Admin) => Promise<unknown>): Promise<void> {
  const admin = kafka.open().kafkajs.admin();
  await admin.connect();
  await work(admin).finally(() => admin.disconnect());
}

interface Tailing {
  readonly values: string[];
  readonly offsets: bigint[];
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

function tail(topic: string, on = kafka, onRecords?: (records: readonly SlotRecord[]) => Promise<void> | void): Tailing {
  const stop = new AbortController();
  const values: string[] = [];
  const offsets: bigint[] = [];
  const ended = tailTopic({
    kafka: on,
    topic,
    slot: 0,
    signal: stop.signal,
    onRecords: (records) => {
      values.push(...records.map(({ value }) => String(value)));
      offsets.push(...records.map(({ offset }) => offset));
      return onRecords?.(records);
    },
  });
  return {
    values,
    offsets,
    ended,
    stop: () => {
      stop.abort(new Error('enough'));
      return ended;
    },
  };
}

const numbers = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => String(from + i));

describe('the tail of a topic', () => {
  test('begins at the oldest record and goes on with what comes, in no group', async () => {
    const topic = await newTopic();
    await store(topic, numbers(0, 100));
    const tailing = tail(topic);
    await until('what was there', () => tailing.values.length === 100);
    await store(topic, numbers(100, 150));
    await until('what came', () => tailing.values.length === 150);
    await administer(async (admin) => expect((await admin.listGroups()).groups).toEqual([]));
    await tailing.stop();
    await store(topic, ['late']);
    expect(tailing.values).toEqual(numbers(0, 150));
    expect(tailing.offsets).toEqual(numbers(0, 150).map(BigInt));
  });

  test('holds one reply while it is handed over, and hands over one at a time', async () => {
    const topic = await newTopic();
    const large = 'x'.repeat(700_000);
    await store(topic, [large, large, large, large]);
    let inside = 0;
    let together = 0;
    const tailing = tail(topic, kafka, async (records) => {
      inside += 1;
      together = Math.max(together, inside, records.length);
      await new Promise(setImmediate);
      inside -= 1;
    });
    await until('all of them', () => tailing.values.length === 4);
    expect(together).toBe(1); // a reply has room for one of them
    await tailing.stop();
  });

  test('T1 a broker that is killed and comes back neither repeats nor skips a record', async () => {
    const topic = await newTopic();
    await store(topic, numbers(0, 20));
    const tailing = tail(topic);
    await until('the first part', () => tailing.values.length === 20);
    for (const part of [1, 2]) {
      await broker.kill('SIGKILL');
      await broker.start();
      await store(topic, numbers(20 * part, 20 * part + 20));
      await until('the next part', () => tailing.values.length === 20 * part + 20);
    }
    await tailing.stop();
    expect(tailing.values).toEqual(numbers(0, 60));
  });

  test('T1 a connection that is cut, refused or without answers is made anew', async () => {
    const topic = await newTopic();
    await store(topic, numbers(0, 5));
    const tailing = tail(topic, faulty);
    await until('the first part', () => tailing.values.length === 5);
    proxy.setRefusing(true);
    proxy.cut();
    await store(topic, numbers(5, 10));
    proxy.setRefusing(false);
    await until('the second part', () => tailing.values.length === 10);
    proxy.setBlackhole(['to-client']);
    await store(topic, numbers(10, 15));
    await until('the connection to be given up', () => proxy.connections() === 0);
    proxy.setBlackhole([]);
    await until('the third part', () => tailing.values.length === 15);
    await tailing.stop();
    expect(tailing.values).toEqual(numbers(0, 15));
    await until('the connection to end', () => proxy.connections() === 0);
  });

  test('T2 goes on at the oldest record when what it would read next is deleted', async () => {
    const topic = await newTopic();
    await store(topic, numbers(0, 10));
    const trim = (offset: string): Promise<void> =>
      administer(async (admin) => {
        await admin.fetchTopicOffsets(topic); // so that it knows the topic
        await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset }] });
      });
    await trim('4');
    const tailing = tail(topic, faulty);
    await until('what is kept', () => tailing.values.length === 6);
    proxy.setRefusing(true);
    proxy.cut();
    await store(topic, numbers(10, 20));
    await trim('15');
    proxy.setRefusing(false);
    await until('what is kept then', () => tailing.values.at(-1) === '19');
    await tailing.stop();
    expect(tailing.values).toEqual([...numbers(4, 10), ...numbers(15, 20)]);
  });

  test('T2 waits for a topic that is not there, and begins anew where it is made anew', async () => {
    const topic = 'made-late';
    const tailing = tail(topic);
    await newTopic(topic);
    await store(topic, ['a', 'b']);
    await until('the records', () => tailing.values.length === 2);
    await administer((admin) => admin.deleteTopics({ topics: [topic] }));
    await until('the topic to be made again', () => newTopic(topic).then(() => true, () => false));
    await store(topic, ['c']);
    await until('the new record', () => tailing.values.length === 3);
    await tailing.stop();
    expect(tailing.values).toEqual(['a', 'b', 'c']);
  });

  test('ends with what the reader throws, and at once with the signal while no broker answers', async () => {
    const topic = await newTopic();
    await store(topic, ['a']);
    const failing = tail(topic, faulty, () => Promise.reject(new Error('a bug')));
    await expect(failing.ended).rejects.toThrow('a bug');
    await until('its connection to end', () => proxy.connections() === 0);

    const silent = await startFaultProxy({ host: '127.0.0.1', port: broker.port });
    silent.setBlackhole(['to-client', 'to-server']);
    const lost = tail(topic, createKafka({ brokers: [`127.0.0.1:${silent.port}`], clientId: 'test', log }));
    await until('the question', () => silent.connections() > 0);
    await lost.stop();
    expect(silent.connections()).toBeGreaterThan(0); // the question still waits for its answer
    expect(lost.values).toEqual([]);
    await silent.close();
  });
});

describe('the tail of a topic over three brokers', () => {
  test('T1 follows the leader when it is killed', async () => {
    const three = await startBrokers(3, { dir: join(dir, 'three') });
    try {
      const cluster = createKafka({ brokers: three.map(({ address }) => address), clientId: 'test', log });
      await waitForKafka({ kafka: cluster, signal: AbortSignal.timeout(60_000), log });
      const topic = await newTopic('followed', cluster, 3);
      const leader = async (): Promise<number | undefined> => {
        const admin = cluster.open().kafkajs.admin();
        await admin.connect();
        const { topics: [metadata] } = await admin.fetchTopicMetadata({ topics: [topic] }).finally(() => admin.disconnect());
        return metadata?.partitions.find(({ partitionId }) => partitionId === 0)?.leader;
      };
      await store(topic, numbers(0, 30), cluster);
      const tailing = tail(topic, cluster);
      await until('the first part', () => tailing.values.length === 30);
      const first = await leader();
      await three.find(({ id }) => id === first)!.kill('SIGKILL');
      await store(topic, numbers(30, 60), cluster);
      await until('the second part', () => tailing.values.length >= 60);
      expect(await leader()).not.toBe(first);
      await tailing.stop();
      expect([...new Set(tailing.values)]).toEqual(numbers(0, 60)); // a produce may be stored twice, a read never
      expect(tailing.offsets).toEqual(tailing.offsets.map((_, i) => BigInt(i)));
    } finally {
      await Promise.all(three.map((one) => one.stop()));
    }
  });
});
