/** The lanes of libs/kafka against real brokers, with the faults of a real network in between. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createKafka, createLanes, ensureTopics, KafkaUnavailable, LaneFull, LanesClosed, ProduceRefused, ProduceUnknown, readTopic, waitForKafka, type KafkaClient } from '@millrace/kafka';
import { startBrokers, type Broker } from '@millrace/local-cluster';
import { kafkaProduce } from '@millrace/testkit';
import { join } from 'node:path';
import { broker, consume, dir, faulty, kafka, LIMITS, log, newTopic, proxy, records, SLOTS, stored, until, useBroker } from './faulty-broker.ts';

useBroker();

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
