/** A real broker for tests, and a client of it whose network fails on demand. */
import { afterAll, beforeAll } from '@jest/globals';
import { createKafka, createSlotConsumer, ensureTopics, readTopic, waitForKafka, type KafkaClient, type LaneLimits, type OutgoingRecord, type SlotConsumer, type SlotConsumerHandlers } from '@millrace/kafka';
import { startBroker, type Broker } from '@millrace/local-cluster';
import { createLog } from '@millrace/runtime';
import { startFaultProxy, until as untilTrue, type FaultProxy } from '@millrace/testkit';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const SLOTS = 64;
export const LIMITS: LaneLimits = { recordsPerRequestMax: 500, queuedRecordsMax: 20_000, queuedBytesMax: 16 << 20, requestTimeoutMs: 5_000 };
export const log = createLog({ name: 'test', level: 'silent' });

export let dir: string;
export let broker: Broker;
export let kafka: KafkaClient;
export let proxy: FaultProxy;
export let faulty: KafkaClient;
let topics = 0;
let crashed: Error | undefined;

/** The broker for the tests of a file. */
export function useBroker(): void {
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
}

export async function newTopic(partitions = SLOTS, config: Record<string, string> = {}): Promise<string> {
  topics += 1;
  const name = `topic-${topics}`;
  await ensureTopics({ kafka, topics: [{ name, partitions, replicationFactor: 1, config }], timeoutMs: 20_000, log });
  return name;
}

/** @throws what a consumer has crashed with meanwhile */
export async function until(condition: () => boolean | Promise<boolean>, deadlineMs = 60_000): Promise<void> {
  const holds = async (): Promise<boolean> => {
    if (await condition()) return true;
    if (crashed !== undefined) throw crashed;
    return false;
  };
  await untilTrue(String(condition), holds, { deadlineMs, pollMs: 10 });
}

/** Values by slot, at their offsets. */
export async function stored(topic: string, from = kafka): Promise<Map<number, Map<bigint, string>>> {
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

export const records = (count: number, slots = SLOTS, first = 0): (OutgoingRecord & { readonly value: string })[] =>
  Array.from({ length: count }, (_, i) => ({ slot: ((first + i) * 37) % slots, key: `demo/key-${first + i}`, value: `value ${first + i} ÄÖ€` }));

export function consume(
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
