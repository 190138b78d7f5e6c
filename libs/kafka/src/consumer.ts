/**
 * Consuming by slot: kafkajs's consumer group says which slots, a fetcher of our own reads them.
 *
 * In kafkajs every slot is paused, for ever: what is left of its loop is the heartbeat, and its fetch, which looks at
 * every slot for every other and waits for all handlers, is never made (docs/decisions/0033).
 *
 * The assignment is a hint, and so is the Kafka-committed offset, which is written for people and never read: a slot is
 * read from where it is sought. One that stays over a rebalance goes on behind what was handed over.
 */
import type { Log } from '@millrace/runtime';
import { assert, type Slot } from '@millrace/write';
import type { Consumer } from 'kafkajs';
import { KafkaUnavailable } from './errors.ts';
import { createFetcher } from './fetcher.ts';
import { fetchLeaders } from './leaders.ts';
import { FIRST_LEADERS_RETRIES } from './limits.ts';
import type { KafkaClient, SlotConsumer, SlotConsumerHandlers, SlotPosition } from './types.ts';

const SESSION_TIMEOUT_MS = 10_000;
const REBALANCE_TIMEOUT_MS = 30_000;
/** A rebalance is noticed with a heartbeat. */
const HEARTBEAT_INTERVAL_MAX_MS = 1_000;
/** How long kafkajs sleeps where all slots are paused, before it looks whether a heartbeat is due. */
const IDLE_MS = 100;
const FETCH_BYTES_MAX = 8 * 1024 * 1024;
const METADATA_AGE_MAX_MS = 30_000;
/** kafkajs tells of every fetch, also of one that asks for nothing. When it has not for so long, it has stopped without a word. */
const STALL_MS = 60_000;
const STALL_CHECK_MS = 5_000;

export function createSlotConsumer(options: {
  readonly kafka: KafkaClient;
  readonly groupId: string;
  readonly topic: string;
  readonly log: Log;
  readonly handlers: SlotConsumerHandlers;
  readonly sessionTimeoutMs?: number;
  /** Of one fetch from one broker. */
  readonly maxBytes?: number;
}): SlotConsumer {
  const { kafka, groupId, topic, log, handlers, sessionTimeoutMs = SESSION_TIMEOUT_MS, maxBytes = FETCH_BYTES_MAX } = options;
  let slots: ReadonlySet<Slot> = new Set();
  let phase: 'new' | 'running' | 'stopping' | 'dead' = 'new';

  const fetcher = createFetcher({ kafka, topic, maxBytes, onBatch: handlers.onBatch, onBug: die });
  const connection = kafka.open();
  const consumer: Consumer = connection.kafkajs.consumer({
    groupId,
    sessionTimeout: sessionTimeoutMs,
    rebalanceTimeout: Math.max(REBALANCE_TIMEOUT_MS, sessionTimeoutMs),
    heartbeatInterval: Math.min(HEARTBEAT_INTERVAL_MAX_MS, Math.floor(sessionTimeoutMs / 4)),
    maxWaitTimeInMs: IDLE_MS,
    metadataMaxAge: METADATA_AGE_MAX_MS,
    allowAutoTopicCreation: false,
  });

  let aliveAtMs = performance.now();
  const alive = (): void => {
    aliveAtMs = performance.now();
  };
  for (const sign of [consumer.events.FETCH, consumer.events.GROUP_JOIN, consumer.events.CRASH]) consumer.on(sign, alive);
  let watch: NodeJS.Timeout | undefined;

  function checkAlive(): void {
    const silentMs = performance.now() - aliveAtMs;
    if (phase !== 'running' || silentMs < STALL_MS) return;
    die(new KafkaUnavailable(`the consumer of ${topic} has not fetched for ${Math.round(silentMs)} ms`));
  }

  function die(error: Error): void {
    if (phase !== 'running') return;
    phase = 'dead';
    halt();
    handlers.onCrash(error);
  }

  function halt(): void {
    clearInterval(watch);
    fetcher.stop();
  }

  consumer.on(consumer.events.REQUEST_TIMEOUT, ({ payload }) => {
    connection.cut(payload.broker);
  });

  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    consumer.pause([{ topic }]);
    if (phase !== 'running') return;
    slots = new Set((payload.memberAssignment[topic] ?? []) as Slot[]);
    fetcher.keepOnly(slots);
    log.info({ topic, groupId, slots: slots.size, leader: payload.isLeader }, 'slots assigned');
    handlers.onAssigned([...slots]);
  });

  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (phase !== 'running') return;
    const { error, restart } = payload;
    loseAll();
    if (!restart) return die(error);
    log.warn({ error, topic, groupId }, 'the consumer lost its group and joins it again');
  });

  /** After a crash kafkajs begins with an empty state, and so do we. */
  function loseAll(): void {
    const had = slots.size;
    slots = new Set();
    fetcher.keepOnly(slots);
    if (had > 0) handlers.onAssigned([]);
  }

  const isRunning = (): boolean => phase === 'running';
  const isMine = (slot: number): slot is Slot => isRunning() && slots.has(slot as Slot);

  async function commit(positions: readonly SlotPosition[]): Promise<void> {
    const offsets = positions.filter(({ slot }) => isMine(slot)).map(({ slot, offset }) => ({ topic, partition: slot, offset: offset.toString() }));
    if (offsets.length === 0) return;
    try {
      await consumer.commitOffsets(offsets);
    } catch (error) {
      log.debug({ error, topic, groupId }, 'positions not committed to Kafka');
    }
  }

  return {
    start: async () => {
      assert(phase === 'new', 'a consumer starts once');
      phase = 'running';
      alive();
      watch = setInterval(checkAlive, STALL_CHECK_MS).unref();
      const leaders = await fetchLeaders(kafka, topic, FIRST_LEADERS_RETRIES);
      await consumer.connect();
      await consumer.subscribe({ topic, fromBeginning: true });
      await consumer.run({ autoCommit: false, eachBatch: () => Promise.reject(new Error('kafkajs fetched a slot that is paused')) });
      if (isRunning()) fetcher.start(leaders);
    },
    seek(slot, offset) {
      assert(offset >= 0n, 'a position is an offset');
      if (isMine(slot)) fetcher.seek(slot, offset);
    },
    pause(which) {
      for (const slot of which) if (isMine(slot)) fetcher.pause(slot);
    },
    resume(which) {
      for (const slot of which) if (isMine(slot)) fetcher.resume(slot);
    },
    commit,
    stop: async () => {
      if (phase === 'running') phase = 'stopping';
      halt();
      await consumer.disconnect();
    },
  };
}
