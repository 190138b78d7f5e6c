/** The slot consumer of libs/kafka, its topics, and reading one whole, against a real broker. */
import { describe, expect, test } from '@jest/globals';
import { createLanes, createSlotConsumer, ensureTopics, readTopic, TopicMismatch, topicOffsets, waitForKafka, type SlotBatch, type TopicSpec } from '@millrace/kafka';
import { broker, consume, kafka, LIMITS, log, newTopic, records, SLOTS, stored, until, useBroker } from './faulty-broker.ts';

useBroker();

async function committed(groupId: string, topic: string): Promise<unknown> {
  const admin = kafka.open().kafkajs.admin();
  await admin.connect();
  return admin.fetchOffsets({ groupId, topics: [topic] }).finally(() => admin.disconnect());
}

describe('the slot consumer', () => {
  test('sees every record of every slot once, in order', async () => {
    const topic = await newTopic();
    const lanes = await createLanes({ kafka, topic, log, limits: LIMITS });
    const sent = records(5_000);
    await lanes.sendMany(sent.slice(0, 2_500));
    const seen = new Map<number, bigint[]>();
    let count = 0;
    const consumer = consume(topic, 'sees-all', {
      onBatch: ({ slot, records: batch, highWatermark }) => {
        seen.set(slot, [...(seen.get(slot) ?? []), ...batch.map(({ offset }) => offset)]);
        expect(batch.at(-1)!.offset < highWatermark).toBe(true);
        count += batch.length;
      },
    });
    await consumer.start();
    await lanes.sendMany(sent.slice(2_500));
    await until(() => count >= sent.length);
    expect(consumer.assigned().size).toBe(SLOTS);
    await consumer.stop();
    await lanes.close();
    expect(count).toBe(sent.length);
    for (const offsets of seen.values()) expect(offsets).toEqual(offsets.map((_, i) => BigInt(i)));
  });

  test('seeks back and forward, and ignores slots that are not its own', async () => {
    const topic = await newTopic(2);
    const lanes = await createLanes({ kafka, topic, log, limits: LIMITS });
    await lanes.sendMany(records(100, 1));
    const batches: SlotBatch[] = [];
    const consumer = consume(topic, 'seeks', { onBatch: (batch) => void batches.push(batch) });
    consumer.seek(0, 5n); // before the start: ignored
    await consumer.start();
    const last = (): bigint | undefined => batches.at(-1)?.records.at(-1)?.offset;
    await until(() => last() === 99n);
    batches.length = 0;
    consumer.seek(0, 40n);
    consumer.seek(77, 1n);
    consumer.pause([77]);
    consumer.resume([77]);
    await until(() => last() === 99n);
    expect(batches[0]!.records[0]!.offset).toBe(40n);
    batches.length = 0;
    consumer.seek(0, 150n); // beyond the end of 100: Kafka's out of range, back to the beginning
    await until(() => last() === 99n);
    expect(batches[0]!.records[0]!.offset).toBe(0n);
    await consumer.stop();
    consumer.seek(0, 0n); // after the stop: ignored
    await lanes.close();
  });

  test('a paused slot rests, the others go on, and it continues where it rested', async () => {
    const topic = await newTopic(4);
    const lanes = await createLanes({ kafka, topic, log, limits: LIMITS });
    const seen: string[] = [];
    const consumer = consume(topic, 'pauses', {
      onAssigned: () => {
        consumer.pause([1]);
      },
      onBatch: ({ slot, records: batch }) => void seen.push(...batch.map(({ offset }) => `${slot}@${offset}`)),
    });
    await consumer.start();
    await lanes.sendMany(records(40, 4));
    await until(() => seen.length === 30);
    await lanes.sendMany(records(40, 4));
    await until(() => seen.length === 60);
    expect(seen.filter((at) => at.startsWith('1@'))).toEqual([]);
    consumer.resume([1]);
    await until(() => seen.length === 80);
    expect(seen.filter((at) => at.startsWith('1@'))).toEqual(Array.from({ length: 20 }, (_, i) => `1@${i}`));
    await consumer.stop();
    await lanes.close();
  });

  test('two members share the slots, and the one that stays gets all of them back', async () => {
    const topic = await newTopic();
    const lanes = await createLanes({ kafka, topic, log, limits: LIMITS });
    const seen = new Map<string, number>();
    const onBatch = ({ slot, records: batch }: SlotBatch): void => {
      for (const { offset } of batch) seen.set(`${slot}@${offset}`, (seen.get(`${slot}@${offset}`) ?? 0) + 1);
    };
    const first = consume(topic, 'shares', { onBatch });
    const second = consume(topic, 'shares', { onBatch });
    await first.start();
    await until(() => first.assigned().size === SLOTS);
    await lanes.sendMany(records(1_000));
    await until(() => seen.size === 1_000);
    await second.start();
    await until(() => first.assigned().size === SLOTS / 2 && second.assigned().size === SLOTS / 2);
    expect(new Set([...first.assigned(), ...second.assigned()]).size).toBe(SLOTS);
    await lanes.sendMany(records(1_000));
    await until(() => seen.size === 2_000);
    for (const slot of first.assigned()) expect(seen.get(`${slot}@0`)).toBe(1); // a slot that stays goes on, uncommitted
    await second.stop();
    await until(() => first.assigned().size === SLOTS);
    await lanes.sendMany(records(1_000));
    await until(() => seen.size === 3_000);
    await first.stop();
    await lanes.close();
  });

  test('F1 what was fetched before a slot is sought or paused is left out', async () => {
    const topic = await newTopic(3);
    const lanes = await createLanes({ kafka, topic, log, limits: LIMITS });
    await lanes.sendMany(records(60, 3));
    const seen = new Map<number, bigint[]>();
    const consumer = consume(topic, 'leaves-out', {
      onAssigned: () => {
        for (const [slot, offset] of [[0, 0n], [1, 10n], [2, 0n]] as const) consumer.seek(slot, offset);
      },
      onBatch: ({ slot, records: batch }) => {
        // One reply holds all three, and this is the first of them.
        if (seen.size === 0) {
          consumer.seek(1, 5n);
          consumer.pause([2]);
        }
        seen.set(slot, [...(seen.get(slot) ?? []), ...batch.map(({ offset }) => offset)]);
      },
    });
    const from = (offset: number): bigint[] => Array.from({ length: 20 - offset }, (_, i) => BigInt(offset + i));
    await consumer.start();
    await until(() => seen.get(1)?.at(-1) === 19n);
    expect(seen).toEqual(new Map([[0, from(0)], [1, from(5)]]));
    consumer.resume([2]);
    await until(() => seen.get(2)?.at(-1) === 19n);
    expect(seen.get(2)).toEqual(from(0));
    await consumer.stop();
    await lanes.close();
  });

  test('F3 slots with a backlog share what a fetch may bring', async () => {
    const topic = await newTopic(4);
    const lanes = await createLanes({ kafka, topic, log, limits: LIMITS });
    for (let i = 0; i < 30; i += 1) await lanes.sendMany(records(4, 4).map((record) => ({ ...record, value: 'x'.repeat(8_000) })));
    const seen = [0, 0, 0, 0];
    const spreads: number[] = [];
    const consumer = consume(
      topic,
      'shares-bytes',
      {
        onBatch: ({ slot, records: batch }) => {
          seen[slot]! += batch.length;
          spreads.push(Math.max(...seen) - Math.min(...seen));
        },
      },
      { maxBytes: 16_000 },
    );
    await consumer.start();
    await until(() => seen.every((count) => count === 30));
    expect(Math.max(...spreads)).toBeLessThanOrEqual(4);
    await consumer.stop();
    await lanes.close();
  });

  test('nothing is read of a slot before it is sought, whatever is committed', async () => {
    const topic = await newTopic(2);
    const lanes = await createLanes({ kafka, topic, log, limits: LIMITS });
    await lanes.sendMany(records(20, 2));
    const first = consume(topic, 'commits', {});
    await first.start();
    await until(() => first.assigned().size === 2);
    await first.commit([{ slot: 0, offset: 7n }, { slot: 99, offset: 1n }]);
    await first.stop();
    expect(await committed('commits', topic)).toMatchObject([{ partitions: [{ partition: 0, offset: '7' }, { partition: 1, offset: '-1' }] }]);
    const starts = new Map<number, bigint>();
    const assigned = Promise.withResolvers<void>();
    const second = createSlotConsumer({
      kafka,
      groupId: 'commits',
      topic,
      log,
      sessionTimeoutMs: 6_000,
      handlers: {
        onAssigned: () => assigned.resolve(),
        onBatch: ({ slot, records: batch }) => void (starts.has(slot) || starts.set(slot, batch[0]!.offset)),
        onCrash: assigned.reject,
      },
    });
    await second.start();
    await assigned.promise;
    second.seek(1, 3n);
    await until(() => starts.size === 1);
    second.seek(0, 0n);
    await until(() => starts.size === 2);
    expect(starts).toEqual(new Map([[1, 3n], [0, 0n]]));
    await second.stop();
    await lanes.close();
  });

  test('a handler that throws ends the consumer through onCrash', async () => {
    const topic = await newTopic(2);
    const lanes = await createLanes({ kafka, topic, log, limits: LIMITS });
    const crash = Promise.withResolvers<Error>();
    const consumer = consume(topic, 'crashes', {
      onBatch: () => {
        throw new TypeError('a bug');
      },
      onCrash: crash.resolve,
    });
    await consumer.start();
    await lanes.sendMany(records(2, 2));
    expect((await crash.promise).message).toContain('a bug');
    await consumer.stop();
    await lanes.close();
  });

  test('goes on after the broker was killed and came back, and joins where its group was waited for before that', async () => {
    const topic = await newTopic();
    const lanes = await createLanes({ kafka, topic, log, limits: LIMITS });
    const seen = new Set<string>();
    const consumer = consume(topic, 'survives', {
      onBatch: ({ slot, records: batch }) => {
        for (const { offset } of batch) seen.add(`${slot}@${offset}`);
      },
    });
    await consumer.start();
    await lanes.sendMany(records(1_000));
    await until(() => seen.size === 1_000);
    await broker.kill('SIGKILL');
    const late = consume(topic, 'joins-late', {});
    const started = waitForKafka({ kafka, groupId: 'joins-late', signal: AbortSignal.timeout(60_000), log }).then(() => late.start());
    const gone = new AbortController();
    const refused = expect(waitForKafka({ kafka, groupId: 'never-joins', signal: gone.signal, log })).rejects.toThrow('drains');
    gone.abort(new Error('the process drains'));
    await refused;
    await broker.start();
    await started;
    await lanes.sendMany(records(1_000));
    await until(() => seen.size >= 2_000 && late.assigned().size === SLOTS, 90_000);
    await late.stop();
    await consumer.stop();
    await lanes.close();
  });
});

describe('topics', () => {
  test('are made once, and a mismatch says what to do', async () => {
    const spec: TopicSpec = { name: 'shaped', partitions: 4, replicationFactor: 1, config: { 'message.timestamp.type': 'LogAppendTime' } };
    await Promise.all([1, 2].map(() => ensureTopics({ kafka, topics: [spec], timeoutMs: 20_000, log })));
    await ensureTopics({ kafka, topics: [spec], timeoutMs: 20_000, log });
    const ensure = (change: Partial<TopicSpec>): Promise<void> => ensureTopics({ kafka, topics: [{ ...spec, ...change }], timeoutMs: 20_000, log });
    await expect(ensure({ partitions: 8 })).rejects.toThrow(/4 partitions.*8 slots/);
    await expect(ensure({ replicationFactor: 3 })).rejects.toThrow(/1 replicas, 3 are wanted/);
    await expect(ensure({ config: { 'retention.ms': '5000' } })).rejects.toBeInstanceOf(TopicMismatch);
  });
});

describe('reading a whole topic', () => {
  test('an empty topic returns at once, and an aborted read says why', async () => {
    const topic = await newTopic();
    expect(await stored(topic)).toEqual(new Map());
    await expect(readTopic({ kafka, topic, signal: AbortSignal.abort(new Error('enough')), onRecords: () => undefined })).rejects.toThrow('enough');
  });

  test('ends at what was there when it began, and an error of the reader ends it', async () => {
    const topic = await newTopic();
    const lanes = await createLanes({ kafka, topic, log, limits: LIMITS });
    await lanes.sendMany(records(5_000));
    let count = 0;
    await readTopic({
      kafka,
      topic,
      signal: AbortSignal.timeout(30_000),
      onRecords: async (_, batch) => {
        count += batch.length;
        await lanes.sendMany(records(10));
      },
    });
    expect(count).toBe(5_000);
    await expect(readTopic({ kafka, topic, signal: AbortSignal.timeout(30_000), onRecords: () => Promise.reject(new Error('no more')) })).rejects.toThrow('no more');
    await lanes.close();
  });

  test('gaps at the start, in the middle and at the end do not hold it', async () => {
    const topic = await newTopic(2);
    const lanes = await createLanes({ kafka, topic, log, limits: LIMITS });
    await lanes.sendMany(Array.from({ length: 10 }, (_, i) => ({ slot: 0, key: 'k', value: `plain ${i}` })));
    await lanes.close();
    const { kafkajs } = kafka.open();
    const admin = kafkajs.admin();
    await admin.connect();
    await admin.fetchTopicOffsets(topic); // so that it knows the topic
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '4' }] });
    await admin.disconnect();
    const producer = kafkajs.producer({ idempotent: true, transactionalId: 'gaps', maxInFlightRequests: 1 });
    await producer.connect();
    for (const [value, commit] of [['aborted', false], ['committed', true], ['aborted again', false]] as const) {
      const transaction = await producer.transaction();
      await transaction.send({ topic, messages: [{ partition: 0, value }] });
      await (commit ? transaction.commit() : transaction.abort());
    }
    await producer.disconnect();
    // Ten records, then three transactions of a record and its marker; the markers are written after the answer to EndTxn.
    await until(async () => (await topicOffsets({ kafka, topic }))[0]?.high === 16n);
    expect((await topicOffsets({ kafka, topic }))[0]).toMatchObject({ low: 4n });
    const values = [...(await stored(topic)).get(0)!.values()];
    expect(values).toEqual([...[4, 5, 6, 7, 8, 9].map((i) => `plain ${i}`), 'committed']);
  });
});
