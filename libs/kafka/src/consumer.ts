/**
 * Consuming by slot, on top of a kafkajs consumer group.
 *
 * kafkajs has one fetch loop per broker that waits for all handlers of a fetch, and heartbeats go out between fetches.
 * So a handler takes a batch at once, or pauses the slot: it has nothing to wait for.
 *
 * The Kafka-committed offset decides only where a slot starts that is new here; a slot that stays over a rebalance
 * goes on behind what was accepted. Whoever applies the records checks their offsets against the position (W4).
 */
import { sleep, type Log } from '@millrace/runtime';
import { assert, type Offset, type Slot } from '@millrace/write';
import type { Batch, Consumer, EachBatchPayload } from 'kafkajs';
import { KafkaUnavailable } from './errors.ts';
import { fetchLeaders } from './leaders.ts';
import type { KafkaClient, SlotConsumer, SlotConsumerHandlers, SlotPosition, SlotRecord } from './types.ts';

const SESSION_TIMEOUT_MS = 10_000;
const REBALANCE_TIMEOUT_MS = 30_000;
/** A rebalance is noticed with a heartbeat. */
const HEARTBEAT_INTERVAL_MAX_MS = 1_000;
const FETCH_BYTES_MAX = 8 * 1024 * 1024;
const FETCH_BYTES_PER_SLOT_MAX = 1024 * 1024;
/** How long an idle fetch waits for a first byte, and about how late a seek or resume takes effect. */
const FETCH_WAIT_MS = 100;
/** Behind a batch of fewer records than this the next fetch waits a moment. */
const REST_RECORDS_MAX = 20;
const REST_MS = 8;
const METADATA_AGE_MAX_MS = 30_000;
const FIRST_LEADERS_RETRIES = 8;
/** kafkajs tells of every fetch, also of one that brings nothing. When it has not for so long, it has stopped without a word. */
const STALL_MS = 60_000;
const STALL_CHECK_MS = 5_000;

interface SlotState {
  /** Behind the last batch that was handed over, or where it was sought. */
  next: bigint | undefined;
  /** Paused by the caller. */
  paused: boolean;
}

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
  let slots = new Map<Slot, SlotState>();
  let phase: 'new' | 'running' | 'stopping' | 'dead' = 'new';
  let resting: Promise<void> | undefined;

  const connection = kafka.open();
  const consumer: Consumer = connection.kafkajs.consumer({
    groupId,
    sessionTimeout: sessionTimeoutMs,
    rebalanceTimeout: Math.max(REBALANCE_TIMEOUT_MS, sessionTimeoutMs),
    heartbeatInterval: Math.min(HEARTBEAT_INTERVAL_MAX_MS, Math.floor(sessionTimeoutMs / 4)),
    maxBytes,
    maxBytesPerPartition: Math.min(FETCH_BYTES_PER_SLOT_MAX, maxBytes),
    minBytes: 1,
    maxWaitTimeInMs: FETCH_WAIT_MS,
    metadataMaxAge: METADATA_AGE_MAX_MS,
    allowAutoTopicCreation: false,
    readUncommitted: false,
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
    clearInterval(watch);
    handlers.onCrash(error);
  }

  consumer.on(consumer.events.REQUEST_TIMEOUT, ({ payload }) => {
    connection.cut(payload.broker);
  });

  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    if (phase !== 'running') return;
    const joined = (payload.memberAssignment[topic] ?? []) as Slot[];
    const before = slots;
    slots = new Map(joined.map((slot) => [slot, before.get(slot) ?? { next: undefined, paused: false }]));
    // kafkajs keeps a pause over a rebalance: the next owner, maybe this member, starts unpaused.
    for (const slot of before.keys()) if (!slots.has(slot)) resumeFetch(slot);
    for (const [slot, state] of slots) {
      if (state.next !== undefined) consumer.seek({ topic, partition: slot, offset: state.next.toString() });
      if (state.paused) pauseFetch(slot);
    }
    log.info({ topic, groupId, slots: joined.length, leader: payload.isLeader }, 'slots assigned');
    handlers.onAssigned([...slots.keys()]);
  });

  consumer.on(consumer.events.CRASH, ({ payload }) => {
    if (phase !== 'running') return;
    const { error, restart } = payload;
    loseAll();
    if (restart) {
      log.warn({ error, topic, groupId }, 'the consumer lost its group and joins it again');
      return;
    }
    die(error);
  });

  /** After a crash kafkajs begins with an empty state, and so do we. */
  function loseAll(): void {
    const had = slots.size;
    slots = new Map();
    if (had > 0) handlers.onAssigned([]);
  }

  const pauseFetch = (slot: number): void => {
    consumer.pause([{ topic, partitions: [slot] }]);
  };
  const resumeFetch = (slot: number): void => {
    consumer.resume([{ topic, partitions: [slot] }]);
  };

  /** Fetching costs the same for one record as for a hundred: behind little, the broker gathers for a moment. */
  function rest(batch: Batch): Promise<void> | undefined {
    if (batch.messages.length >= REST_RECORDS_MAX) return undefined;
    return (resting ??= sleep(REST_MS).finally(() => (resting = undefined)));
  }

  function onBatch({ batch, resolveOffset, isStale, isRunning }: EachBatchPayload): void {
    const slot = batch.partition as Slot;
    const state = slots.get(slot);
    // What is left out here is not resolved, so it is fetched again when the slot is wanted.
    if (state === undefined || phase !== 'running' || !isRunning() || isStale() || state.paused) return;
    const lastOffset = batch.lastOffset();
    state.next = BigInt(lastOffset) + 1n;
    resolveOffset(lastOffset);
    handlers.onBatch({ slot, records: recordsOf(batch), highWatermark: BigInt(batch.highWatermark) });
  }

  const mine = (slot: number): SlotState | undefined => (phase === 'running' ? slots.get(slot as Slot) : undefined);

  function seek(slot: number, offset: bigint): void {
    const state = mine(slot);
    if (state === undefined) return;
    assert(offset >= 0n, 'a position is an offset');
    state.next = offset;
    consumer.seek({ topic, partition: slot, offset: offset.toString() });
  }

  function pause(which: Iterable<number>): void {
    for (const slot of which) {
      const state = mine(slot);
      if (state === undefined || state.paused) continue;
      state.paused = true;
      pauseFetch(slot);
    }
  }

  function resume(which: Iterable<number>): void {
    for (const slot of which) {
      const state = mine(slot);
      if (state === undefined || !state.paused) continue;
      state.paused = false;
      resumeFetch(slot);
    }
  }

  async function commit(positions: readonly SlotPosition[]): Promise<void> {
    const offsets = positions
      .filter(({ slot }) => mine(slot) !== undefined)
      .map(({ slot, offset }) => ({ topic, partition: slot, offset: offset.toString() }));
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
      const { bySlot } = await fetchLeaders(kafka, topic, FIRST_LEADERS_RETRIES);
      await consumer.connect();
      await consumer.subscribe({ topic, fromBeginning: true });
      await consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: bySlot.length,
        eachBatch: async (payload) => {
          onBatch(payload);
          await rest(payload.batch);
        },
      });
    },
    seek,
    pause,
    resume,
    commit,
    stop: async () => {
      if (phase === 'running') phase = 'stopping';
      clearInterval(watch);
      await consumer.disconnect();
    },
  };
}

/** kafkajs's batch as the rest of Millrace knows it. */
export function recordsOf(batch: Pick<Batch, 'messages'>): readonly SlotRecord[] {
  return batch.messages.map(({ offset, key, value, timestamp }) => ({
    offset: BigInt(offset) as Offset,
    key,
    value,
    timestampMs: Number(timestamp),
  }));
}

