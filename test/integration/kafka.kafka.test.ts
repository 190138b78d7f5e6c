/** libs/kafka against a real broker, with the faults of a real network in between. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import {
  createKafka,
  createLanes,
  createSlotConsumer,
  ensureTopics,
  KafkaUnavailable,
  LaneFull,
  LanesClosed,
  ProduceRefused,
  ProduceUnknown,
  readTopic,
  TopicMismatch,
  topicOffsets,
  waitForKafka,
} from '@millrace/kafka';
import type { KafkaClient, LaneLimits, OutgoingRecord, SlotBatch, SlotConsumer, SlotConsumerHandlers, TopicSpec } from '@millrace/kafka';
import { startBroker, startBrokers, type Broker } from '@millrace/local-cluster';
import { createLog } from '@millrace/runtime';
import { kafkaProduce, startFaultProxy, type FaultProxy } from '@millrace/testkit';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const SLOTS = 64;
const LIMITS: LaneLimits = { recordsPerRequestMax: 500, queuedRecordsMax: 20_000, queuedBytesMax: 16 << 20, requestTimeoutMs: 5_000 };
const log = createLog({ name: 'test', level: 'silent' });

let dir: string;
let broker: Broker;
let kafka: KafkaClient;
let proxy: FaultProxy;
let faulty: KafkaClient;
let topics = 0;
let crashed: Error | undefined;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-kafka-'));
  broker = await startBroker({ dir });
  kafka = createKafka({ brokers: [broker.address], clientId: 'test', log });
  proxy = await startFaultProxy({ host: '127.0.0.1', port: broker.port });
  const { host, port } = proxy;
  faulty = createKafka({ brokers: [broker.address], clientId: 'test', log, route: () => ({ host, port }) });
  await waitForKafka({ kafka, signal: AbortSignal.timeout(60_000), log });
});

afterAll(async () => {
  await proxy.close();
  await broker.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function newTopic(partitions = SLOTS, config: Record<string, string> = {}): Promise<string> {
  topics += 1;
  const name = `topic-${topics}`;
  await ensureTopics({ kafka, topics: [{ name, partitions, replicationFactor: 1, config }], timeoutMs: 20_000, log });
  return name;
}

async function committed(groupId: string, topic: string): Promise<unknown> {
  const admin = kafka.open().kafkajs.admin();
  await admin.connect();
  return admin.fetchOffsets({ groupId, topics: [topic] }).finally(() => admin.disconnect());
}

async function until(condition: () => boolean | Promise<boolean>, deadlineMs = 60_000): Promise<void> {
  const endAtMs = Date.now() + deadlineMs;
  while (!(await condition())) {
    if (crashed !== undefined) throw crashed;
    if (Date.now() > endAtMs) throw new Error(`not within ${deadlineMs} ms: ${String(condition)}`);
    await delay(10);
  }
}

/** Values by slot, at their offsets. */
async function stored(topic: string, from = kafka): Promise<Map<number, Map<bigint, string>>> {
  const slots = new Map<number, Map<bigint, string>>();
  await readTopic({
    kafka: from,
    topic,
    signal: AbortSignal.timeout(60_000),
    onRecords: (slot, records) => {
      const values = slots.get(slot) ?? new Map<bigint, string>();
      slots.set(slot, values);
      for (const { offset, value } of records) values.set(offset, String(value));
    },
  });
  return slots;
}

const records = (count: number, slots = SLOTS, first = 0): (OutgoingRecord & { readonly value: string })[] =>
  Array.from({ length: count }, (_, i) => ({ slot: ((first + i) * 37) % slots, key: `demo/key-${first + i}`, value: `value ${first + i} ÄÖ€` }));

function consume(
  topic: string,
  groupId: string,
  handlers: Partial<SlotConsumerHandlers>,
  { client = kafka, maxBytes }: { readonly client?: KafkaClient; readonly maxBytes?: number } = {},
): SlotConsumer & { assigned(): ReadonlySet<number> } {
  let own: ReadonlySet<number> = new Set();
  const consumer = createSlotConsumer({
    kafka: client,
    groupId,
    topic,
    log,
    sessionTimeoutMs: 6_000,
    ...(maxBytes === undefined ? {} : { maxBytes }),
    handlers: {
      onBatch: () => undefined,
      onCrash: (error) => {
        crashed = error;
      },
      ...handlers,
      onAssigned: (slots) => {
        for (const slot of slots) if (!own.has(slot)) consumer.seek(slot, 0n);
        own = new Set(slots);
        handlers.onAssigned?.(slots);
      },
    },
  });
  return { ...consumer, assigned: () => own };
}

describe('lanes', () => {
  test('give every record its own offset over 64 slots, and keep the order of each slot', async () => {
    const topic = await newTopic();
    const lanes = await createLanes({ kafka, topic, log, limits: LIMITS });
    const sent = records(6_000);
    const single = await Promise.all(sent.slice(0, 3_000).map((record) => lanes.send(record)));
    const many = await lanes.sendMany(sent.slice(3_000));
    const offsets = [...single.map(({ offset }) => offset), ...many];
    await lanes.close();

    const slots = await stored(topic);
    expect([...slots.values()].reduce((sum, values) => sum + values.size, 0)).toBe(sent.length);
    for (const [i, { slot, value }] of sent.entries()) expect(slots.get(slot)!.get(offsets[i]!)).toBe(value);
    const last = new Map<number, bigint>();
    for (const [i, { slot }] of sent.entries()) {
      expect(offsets[i]! > (last.get(slot) ?? -1n)).toBe(true);
      last.set(slot, offsets[i]!);
    }
  });

  test('carry keys, headers, buffers, empty values and multi-byte text', async () => {
    const topic = await newTopic(1);
    const lanes = await createLanes({ kafka, topic, log, limits: LIMITS });
    await lanes.sendMany([
      { slot: 0, key: 'ключ', value: '€'.repeat(100), headers: { traceparent: '00-ab', ü: 'ö' } },
      { slot: 0, key: null, value: '' },
      { slot: 0, key: Buffer.from([0, 255]), value: Buffer.from([1, 2, 3]) },
      { slot: 0, key: 'big', value: 'x'.repeat(900_000) },
    ]);
    await lanes.close();
    const seen: (readonly [Buffer | null, Buffer | null])[] = [];
    await readTopic({ kafka, topic, signal: AbortSignal.timeout(30_000), onRecords: (_, batch) => void seen.push(...batch.map(({ key, value }) => [key, value] as const)) });
    expect(seen.map(([key]) => key)).toEqual([Buffer.from('ключ'), null, Buffer.from([0, 255]), Buffer.from('big')]);
    expect(seen.map(([, value]) => value?.length)).toEqual([300, 0, 3, 900_000]);
  });

  test('a produce whose reply is lost is stored again right behind itself, and resolves with an offset that holds it', async () => {
    const topic = await newTopic();
    const lanes = await createLanes({ kafka: faulty, topic, log, limits: LIMITS });
    await lanes.send({ slot: 0, key: 'k', value: 'warm' });
    const lost = proxy.loseNextReply(kafkaProduce);
    const sent = records(300, 8);
    const results = Promise.all(sent.map((record) => lanes.send(record)));
    await lost;
    const offsets = await results;
    const after = await Promise.all(records(300, 8, 300).map((record) => lanes.send(record)));
    await lanes.close();

    expect(after).toHaveLength(300);
    const slots = await stored(topic);
    for (const [i, { slot, value }] of sent.entries()) expect(slots.get(slot)!.get(offsets[i]!.offset)).toBe(value);
    const total = [...slots.values()].reduce((sum, values) => sum + values.size, 0);
    expect(total).toBeGreaterThan(601); // the copy whose reply was lost is there
    for (const [slot, values] of slots) {
      const expected = [...(slot === 0 ? ['warm'] : []), ...[...sent, ...records(300, 8, 300)].filter((record) => record.slot === slot).map(({ value }) => value)];
      expect([...new Set(values.values())]).toEqual(expected); // first occurrences are in order
      expect([...values.values()].lastIndexOf(expected.at(-1)!)).toBe(values.size - 1); // copies are behind themselves, not behind later ones
    }
  });

  test('a broker that stops answering makes the fate unknown, and the lanes recover by themselves', async () => {
    const topic = await newTopic();
    const lanes = await createLanes({ kafka: faulty, topic, log, limits: { ...LIMITS, requestTimeoutMs: 300 } });
    await until(() => lanes.send({ slot: 1, key: 'k', value: 'warm' }).then(() => true, () => false)); // a new topic may have no leader yet
    proxy.setBlackhole(['to-client']);
    const outcomes = await Promise.allSettled([...records(50).map((record) => lanes.send(record)), lanes.sendMany(records(10, SLOTS, 50))]);
    proxy.setBlackhole([]);
    for (const outcome of outcomes) expect(outcome).toMatchObject({ status: 'rejected', reason: { name: 'ProduceUnknown', code: 'produce_unknown', retryable: true } });
    expect(lanes.queued()).toEqual({ records: 0, bytes: 0 });
    let sent: { offset: bigint } | undefined;
    await until(async () => {
      sent = await lanes.send({ slot: 1, key: 'k', value: 'healed' }).catch((error: unknown) => {
        expect(error instanceof ProduceUnknown || error instanceof KafkaUnavailable).toBe(true);
        return undefined;
      });
      return sent !== undefined;
    });
    await lanes.close();
    expect((await stored(topic)).get(1)!.get(sent!.offset)).toBe('healed');
  });

  test('a record that was never sent is refused as not stored', async () => {
    const topic = await newTopic();
    const lanes = await createLanes({ kafka: faulty, topic, log, limits: { ...LIMITS, requestTimeoutMs: 300 } });
    proxy.setRefusing(true);
    proxy.cut();
    await expect(lanes.send({ slot: 2, key: 'k', value: 'never' })).rejects.toBeInstanceOf(KafkaUnavailable);
    proxy.setRefusing(false);
    await lanes.close();
    expect(await stored(topic)).toEqual(new Map());
  });

  test('refuse what has no room, hold back sendMany, and refuse everything once closed', async () => {
    const topic = await newTopic();
    const lanes = await createLanes({ kafka, topic, log, limits: { recordsPerRequestMax: 10, queuedRecordsMax: 20, queuedBytesMax: 2_000, bytesPerRequestMax: 1_000, requestTimeoutMs: 5_000 } });
    const outcomes = await Promise.allSettled(records(50).map((record) => lanes.send(record)));
    const full = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(full).toHaveLength(30);
    for (const { reason } of full) expect(reason).toBeInstanceOf(LaneFull);
    expect(await lanes.sendMany(records(500))).toHaveLength(500);
    expect(lanes.hasRoom(2_001)).toBe(true); // alone, a large record has room
    await lanes.close();
    await expect(lanes.send(records(1)[0]!)).rejects.toBeInstanceOf(LanesClosed);
    await expect(lanes.sendMany(records(1))).rejects.toBeInstanceOf(LanesClosed);
  });

  test('a record that Kafka will never take is refused, and those beside it are stored', async () => {
    const topic = await newTopic(2, { 'max.message.bytes': '10000' });
    const lanes = await createLanes({ kafka, topic, log, limits: LIMITS });
    const [large, small] = await Promise.allSettled([lanes.send({ slot: 0, key: 'k', value: 'x'.repeat(20_000) }), lanes.send({ slot: 1, key: 'k', value: 'small' })]);
    expect(large).toMatchObject({ status: 'rejected', reason: { name: ProduceRefused.name, retryable: false } });
    expect(small).toMatchObject({ status: 'fulfilled', value: { offset: 0n } });
    await lanes.close();
  });

  test('nothing that was resolved is lost when the broker is killed and comes back', async () => {
    const topic = await newTopic();
    const lanes = await createLanes({ kafka, topic, log, limits: { ...LIMITS, requestTimeoutMs: 30_000 } });
    const resolved: { readonly slot: number; readonly value: string; readonly offset: bigint }[] = [];
    let stop = false;
    let unknown = 0;
    const clients = Array.from({ length: 16 }, async (_, client) => {
      for (let i = 0; !stop; i += 1) {
        const record = { slot: (client * 31 + i) % SLOTS, key: `c${client}`, value: `${client}:${i}` };
        await lanes.send(record).then(({ offset }) => resolved.push({ ...record, offset }), () => (unknown += 1));
      }
    });
    await until(() => resolved.length > 2_000);
    await broker.kill('SIGKILL');
    await broker.start();
    const before = resolved.length;
    await until(() => resolved.length > before + 2_000);
    stop = true;
    await Promise.all(clients);
    await lanes.close();
    expect(unknown).toBe(0); // a record is given up after a minute, far beyond a restart
    const slots = await stored(topic);
    for (const { slot, offset, value } of resolved) expect(slots.get(slot)!.get(offset)).toBe(value);
  });
});

describe('lanes over three brokers', () => {
  let three: readonly Broker[];
  let cluster: KafkaClient;

  beforeAll(async () => {
    three = await startBrokers(3, { dir: join(dir, 'three') });
    cluster = createKafka({ brokers: three.map(({ address }) => address), clientId: 'test', log });
    await waitForKafka({ kafka: cluster, signal: AbortSignal.timeout(60_000), log });
  });

  afterAll(() => Promise.all(three.map((one) => one.stop())));

  test('L5 a slot without enough replicas does not hold up the slots beside it, and goes on in order when they are back', async () => {
    const [leader, replica, other] = three.map(({ id }) => id) as [number, number, number];
    const admin = cluster.open().kafkajs.admin();
    await admin.connect();
    const replicaAssignment = [[leader, replica], [leader, other]].map((replicas, partition) => ({ partition, replicas }));
    await admin.createTopics({ topics: [{ topic: 'sick', numPartitions: -1, replicationFactor: -1, replicaAssignment, configEntries: [{ name: 'min.insync.replicas', value: '2' }] }] });
    await admin.disconnect();
    const lanes = await createLanes({ kafka: cluster, topic: 'sick', log, limits: { ...LIMITS, requestTimeoutMs: 30_000 } });
    await lanes.sendMany([0, 1].map((slot) => ({ slot, key: 'k', value: 'first' })));

    await three.find(({ id }) => id === replica)!.kill('SIGKILL');
    let settled = 0;
    const sick = Array.from({ length: 30 }, (_, i) => lanes.send({ slot: 0, key: 'k', value: `sick ${i}` }).finally(() => (settled += 1)));
    for (let i = 0; i < 200; i += 1) await lanes.send({ slot: 1, key: 'k', value: `well ${i}` });
    expect(settled).toBe(0);
    await three.find(({ id }) => id === replica)!.start();
    const offsets = (await Promise.all(sick)).map(({ offset }) => offset);
    await lanes.close();

    const slots = await stored('sick', cluster);
    for (const [i, offset] of offsets.entries()) expect(slots.get(0)!.get(offset)).toBe(`sick ${i}`);
    expect([...new Set(slots.get(0)!.values())]).toEqual(['first', ...Array.from({ length: 30 }, (_, i) => `sick ${i}`)]);
  });

  test('lanes and the consumer follow the leaders when a broker is killed: nothing is lost, the order of each slot holds', async () => {
    const config = { 'min.insync.replicas': '2', 'unclean.leader.election.enable': 'false' };
    await ensureTopics({ kafka: cluster, topics: [{ name: 'failover', partitions: 12, replicationFactor: 3, config }], timeoutMs: 30_000, log });
    const lanes = await createLanes({ kafka: cluster, topic: 'failover', log, limits: { ...LIMITS, requestTimeoutMs: 15_000 } }); // the controller needs 9 s to miss a broker
    // A topic of somebody else whose only replicas go with the broker: it is nobody's business here.
    const admin = cluster.open().kafkajs.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: 'foreign', numPartitions: -1, replicationFactor: -1, replicaAssignment: [{ partition: 0, replicas: [three[0]!.id] }] }] });
    await admin.disconnect();
    const seen = new Map<number, bigint[]>();
    const consumer = consume('failover', 'follows', { onBatch: ({ slot, records: batch }) => void seen.set(slot, [...(seen.get(slot) ?? []), ...batch.map(({ offset }) => offset)]) }, { client: cluster });
    await waitForKafka({ kafka: cluster, groupId: 'follows', signal: AbortSignal.timeout(60_000), log });
    await consumer.start();
    const resolved: { readonly slot: number; readonly value: string; readonly offset: bigint }[] = [];
    let sent = 0;
    let stop = false;
    const flood = (async () => {
      while (!stop) {
        const batch = Array.from({ length: 48 }, (_, i) => ({ slot: (sent + i) % 12, key: 'k', value: String(sent + i) }));
        sent += batch.length;
        const offsets = await Promise.all(batch.map((one) => lanes.send(one)));
        resolved.push(...batch.map((one, i) => ({ ...one, offset: offsets[i]!.offset })));
      }
    })();
    await until(() => resolved.length > 2_000);
    await three[0]!.kill('SIGKILL');
    const before = resolved.length;
    await until(() => resolved.length > before + 2_000);
    stop = true;
    await flood;
    await lanes.close();

    const slots = await stored('failover', cluster);
    await until(() => [...slots].every(([slot, values]) => seen.get(slot)?.at(-1) === [...values.keys()].at(-1)));
    await consumer.stop();
    // A group whose coordinator was on the broker is joined anew, and what is sought from the start is seen again.
    for (const [slot, values] of slots) expect([...new Set(seen.get(slot))]).toEqual([...values.keys()]);
    for (const { slot, offset, value } of resolved) expect(slots.get(slot)!.get(offset)).toBe(value);
    for (const [slot, values] of slots) {
      const firsts = [...new Set(values.values())].map(Number);
      expect(firsts).toEqual(Array.from({ length: firsts.length }, (_, i) => slot + 12 * i));
    }
  });
});

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
