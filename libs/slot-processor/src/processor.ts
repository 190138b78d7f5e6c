/**
 * The slot processor: Kafka's consumer on one side, a lane per shard on the other, and the slots between them.
 *
 * A slot that is assigned to this process first asks its shard for the position (a probe) and seeks there. From then
 * on every batch must continue what came before. The assignment is a hint about who should do the work; who may do it
 * is decided by the rows on the shard.
 */
import { createSlotConsumer, topicOffsets, type KafkaClient, type SlotBatch, type SlotOffsets } from '@millrace/kafka';
import { ownerOf } from '@millrace/ring';
import { createBreaker, sleep, type Check, type Log, type Registry } from '@millrace/runtime';
import { UnknownShard, type Shards, type TopologyFollower } from '@millrace/topology';
import { must, recordKey, type Offset, type ShardId, type Slot } from '@millrace/write';
import { continueFrom, type Gap } from './continuity.ts';
import { createLane, type Lane } from './lane.ts';
import { FETCH_BYTES_MAX } from './limits.ts';
import { createProcessorMetrics } from './metrics.ts';
import type { LoggedRecord, StreamModel } from './model.ts';
import { countParkedKeys } from './parked.ts';
import { createRelay, type Publishers, type Relay } from './relay.ts';
import { sliceOf } from './slices.ts';

export interface SlotProcessorInput {
  readonly model: StreamModel;
  readonly kafka: KafkaClient;
  readonly groupId: string;
  readonly topic: string;
  readonly topology: TopologyFollower;
  readonly shards: Shards;
  readonly publishers: Publishers;
  readonly log: Log;
  readonly registry: Registry;
  /** The process cannot go on: end it, and start again from the rows. */
  readonly onFatal: (error: unknown) => void;
}

export interface SlotProcessor {
  start(): Promise<void>;
  /** Ordered: no more intake, turns under way end, events go out, offsets are committed, the group is left. */
  stop(): Promise<void>;
  health(): { readonly live: readonly Check[]; readonly ready: readonly Check[] };
}

interface SlotState {
  lane: Lane;
  /** The next offset to bring to the lane; undefined until the shard has told the position. */
  expected: Offset | undefined;
  applied: Offset | undefined;
  highWatermark: bigint | undefined;
  gap: Gap | undefined;
  /** How often the position was looked for: only the last search counts. */
  searches: number;
  /** Since when records wait that are not applied, as far as this process saw. */
  laggingSinceMs: number | undefined;
  /** The log does not hold the next record. */
  stopped: boolean;
}

interface ShardParts {
  readonly lane: Lane;
  readonly relay: Relay;
}

const BREAKER_RESET_MS = 1_000;
const TICK_MS = 2_000;
/** Parked keys are counted at every so many ticks. */
const PARKED_TICKS = 8;
/** How long a drain waits for Kafka to take the events of committed turns. */
const RELAY_DRAIN_MAX_MS = 10_000;
const ELSEWHERE_RETRY_MS = 250;
const UNKNOWN_SHARD_RETRY_MS = 5_000;
const LOG_ENDS_RETRY_MS = 1_000;
/** A turn that makes no progress for so long means that the process is stuck: statements time out far earlier. */
const STUCK_MS = 120_000;

export function createSlotProcessor(input: SlotProcessorInput): SlotProcessor {
  const { model, topology, log, topic } = input;
  const slotCount = topology.current().slots;
  const metrics = createProcessorMetrics({ stream: model.stream, log, registry: input.registry });
  const stopping = new AbortController();
  const { signal } = stopping;
  const shards = new Map<ShardId, ShardParts>();
  const slots = new Map<Slot, SlotState>();
  const consumer = createSlotConsumer({
    kafka: input.kafka,
    groupId: input.groupId,
    topic,
    log,
    maxBytes: FETCH_BYTES_MAX,
    handlers: { onAssigned, onBatch, onCrash: input.onFatal },
  });
  let joined = false;
  let ticks = 0;

  function partsOf(shard: ShardId): ShardParts {
    const known = shards.get(shard);
    if (known) return known;
    const shared = { shard, database: input.shards.get(shard), slots: slotCount, metrics };
    const relay = createRelay({ ...shared, stream: model.stream, publishers: input.publishers, signal: relayStop.signal, onBug: input.onFatal });
    const breaker = createBreaker({ name: `shard ${shard}`, resetMs: BREAKER_RESET_MS, log, registry: input.registry });
    const events = { onPosition, onApplied, onElsewhere, onFlow: (flow: 'pause' | 'resume') => onFlow(shard, flow), onBug: input.onFatal };
    const parts = { relay, lane: createLane({ ...shared, model, relay, breaker, signal, events }) };
    shards.set(shard, parts);
    return parts;
  }

  /** Every rebalance starts all slots of this process anew: what Kafka remembers of them is not believed (W4). */
  function onAssigned(assigned: readonly Slot[]): void {
    // Without any the member is between two lives; a member that gets none because others have all is rare and idle.
    joined = assigned.length > 0;
    for (const [slot, { lane }] of slots) lane.drop(slot);
    slots.clear();
    for (const slot of assigned) place(slot);
    log.info({ slots: assigned.length }, 'slots assigned');
  }

  function place(slot: Slot): void {
    let lane: Lane;
    try {
      lane = partsOf(ownerOf(topology.current(), slot)).lane;
    } catch (error) {
      if (!(error instanceof UnknownShard)) throw error;
      log.error({ slot, reason: error.message }, 'the slot waits until the shards file names its shard');
      return placeLater(slot, { delayMs: UNKNOWN_SHARD_RETRY_MS });
    }
    slots.set(slot, { lane, expected: undefined, applied: undefined, highWatermark: undefined, gap: undefined, searches: 0, laggingSinceMs: undefined, stopped: false });
    lane.probe(slot);
    // What the lane told before was told to the slots that it had then.
    if (lane.flow() === 'pause') consumer.pause([slot]);
    else consumer.resume([slot]);
  }

  function onBatch(batch: SlotBatch): void {
    const state = slots.get(batch.slot);
    if (!state || state.stopped) return;
    state.highWatermark = batch.highWatermark;
    if (state.expected === undefined || batch.isStale()) return;
    const next = continueFrom(state.expected, batch.records, state.gap);
    if (next.kind === 'skip') return;
    if (next.kind === 'gap') {
      state.gap = next.gap;
      metrics.gap(state.lane.shard, batch.slot, next.gap);
      return findPosition(batch.slot, state, state.expected);
    }
    state.expected = next.to;
    state.gap = undefined;
    const records = next.records.map((record) => loggedRecord(batch.slot, record));
    state.lane.offer(sliceOf({ slot: batch.slot, from: next.from, to: next.to }, records));
  }

  function onPosition(slot: Slot, position: Offset): void {
    const state = slots.get(slot);
    if (state) findPosition(slot, state, position);
  }

  /** Seeks to a position that the log still holds; a slot whose log does not is stopped, and an operator told. */
  function findPosition(slot: Slot, state: SlotState, position: Offset): void {
    state.expected = undefined;
    const search = ++state.searches;
    void logEnds()
      .then((ends) => {
        if (slots.get(slot) !== state || state.searches !== search) return;
        const { low, high } = must(ends.get(slot), `topic ${topic} has slot ${slot}`);
        state.highWatermark = high;
        state.applied ??= position;
        if (position < low || position > high) return stopSlot(slot, state, { position, logStart: low, logEnd: high });
        state.expected = position;
        consumer.seek(slot, position);
        return undefined;
      })
      .catch((error: unknown) => {
        if (!signal.aborted) input.onFatal(error);
      });
  }

  function stopSlot(slot: Slot, state: SlotState, lost: { position: Offset; logStart: bigint; logEnd: bigint }): void {
    state.stopped = true;
    consumer.pause([slot]);
    metrics.lost(state.lane.shard, slot, lost);
  }

  const logEnds = coalesced(async () => {
    for (;;) {
      try {
        const ends = await topicOffsets({ kafka: input.kafka, topic, signal });
        return new Map<Slot, SlotOffsets>(ends.map((end) => [end.slot, end]));
      } catch (error) {
        log.warn({ reason: String(error) }, "cannot read the log's ends; trying again");
        await sleep(LOG_ENDS_RETRY_MS, signal);
      }
    }
  });

  function onApplied(slot: Slot, next: Offset): void {
    const state = slots.get(slot);
    if (state && (state.applied === undefined || next > state.applied)) state.applied = next;
  }

  /** The rows say that the slot is not there: ask who owns it, and ask that shard. */
  function onElsewhere(slot: Slot): void {
    const state = slots.get(slot);
    if (!state) return;
    state.expected = undefined;
    placeLater(slot, { state, delayMs: ELSEWHERE_RETRY_MS });
  }

  /** Places a slot anew, unless something else has placed or revoked it meanwhile. */
  function placeLater(slot: Slot, { state, delayMs }: { state?: SlotState; delayMs: number }): void {
    void sleep(delayMs, signal)
      .then(() => topology.refresh())
      .then(() => {
        if (slots.get(slot) === state && consumer.assigned().has(slot)) place(slot);
      })
      .catch((error: unknown) => {
        if (!signal.aborted) input.onFatal(error);
      });
  }

  function onFlow(shard: ShardId, flow: 'pause' | 'resume'): void {
    const own = [...slots].filter(([, state]) => state.lane.shard === shard && !state.stopped).map(([slot]) => slot);
    if (flow === 'pause') consumer.pause(own);
    else consumer.resume(own);
  }

  function onTopology(): void {
    for (const [slot, { lane, stopped }] of slots) {
      if (stopped || lane.shard === ownerOf(topology.current(), slot)) continue;
      lane.drop(slot);
      place(slot);
    }
  }

  /** Kafka's committed offsets are a hint to people and to monitoring: how far the events are out. */
  async function commit(): Promise<void> {
    const offsets = [...slots].map(([slot, { lane }]) => ({ slot, offset: partsOf(lane.shard).relay.relayedOf(slot) }));
    await consumer.commit(offsets.filter(({ offset }) => offset > 0n));
  }

  async function measure(): Promise<void> {
    ticks += 1;
    const ends = await logEnds();
    for (const [slot, state] of slots) state.highWatermark = ends.get(slot)?.high ?? state.highWatermark;
    const nowMs = Date.now();
    for (const [shard, { lane }] of shards) {
      const own = [...slots.values()].filter((state) => state.lane === lane);
      metrics.standing(shard, standingOf(lane, own, nowMs));
      if (ticks % PARKED_TICKS !== 1) continue;
      // A shard that does not answer keeps its last figure; its lane tells that it is down.
      await countParkedKeys(input.shards.get(shard), model.stream).then(
        (keys) => metrics.parkedKeys(shard, keys),
        (error: unknown) => log.debug({ shard, error }, 'parked keys not counted'),
      );
    }
  }

  const relayStop = new AbortController();
  const ticking = every(TICK_MS, signal, async () => {
    await commit();
    await measure();
  });

  return {
    async start() {
      topology.onChange(onTopology);
      await consumer.start();
    },
    async stop() {
      consumer.pause(slots.keys());
      stopping.abort(new Error('the slot processor stops'));
      await ticking;
      const patience = setTimeout(() => relayStop.abort(new Error('events wait in the journal for the next owner')), RELAY_DRAIN_MAX_MS);
      for (const { lane } of shards.values()) await lane.stopped();
      for (const { relay } of shards.values()) {
        await relay.drain();
        await relay.save().catch((error: unknown) => log.warn({ reason: String(error) }, 'relay positions are not saved; the next owner publishes some events again'));
      }
      clearTimeout(patience);
      relayStop.abort(new Error('the slot processor stops'));
      await commit();
      await consumer.stop();
    },
    health() {
      const now = Date.now();
      const states = [...shards.values()].map(({ lane }) => ({ shard: lane.shard, ...lane.status() }));
      const stuck = states.filter(({ busySinceMs, up }) => up && busySinceMs !== undefined && now - busySinceMs > STUCK_MS);
      const down = states.filter(({ up }) => !up).map(({ shard }) => shard);
      const stopped = [...slots].filter(([, state]) => state.stopped).map(([slot]) => slot);
      return {
        live: [{ name: 'lanes', ok: stuck.length === 0, detail: stuck.map(({ shard }) => `shard ${shard} makes no progress`).join('; ') }],
        ready: [
          { name: 'group', ok: joined, detail: joined ? `${slots.size} slots` : 'not in the consumer group yet' },
          { name: 'shards', ok: states.length === 0 || down.length < states.length, detail: down.length === 0 ? 'all answer' : `down: ${down.join(', ')}` },
          { name: 'log', ok: stopped.length === 0, detail: stopped.length === 0 ? 'whole' : `slots without their next record: ${stopped.join(', ')}` },
        ],
      };
    },
  };
}

function loggedRecord(slot: Slot, record: SlotBatch['records'][number]): LoggedRecord {
  return { slot, offset: record.offset, key: recordKey(record.key), value: record.value, atMs: record.timestampMs };
}

/** Does the work again and again, a pause after each, until the signal aborts. */
async function every(pauseMs: number, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await sleep(pauseMs, signal).then(work).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }
}

/** How far a shard is behind, from the slots of this process. */
function standingOf(lane: Lane, own: readonly SlotState[], nowMs: number): { lagRecords: number; lagSeconds: number; stoppedSlots: number } {
  let lagRecords = 0;
  let sinceMs = lane.status().oldestAtMs ?? nowMs;
  for (const state of own) {
    const { applied, highWatermark } = state;
    const lag = applied === undefined || highWatermark === undefined ? 0 : Math.max(0, Number(highWatermark - applied));
    lagRecords += lag;
    state.laggingSinceMs = lag === 0 ? undefined : (state.laggingSinceMs ?? nowMs);
    if (lane.status().oldestAtMs === undefined) sinceMs = Math.min(sinceMs, state.laggingSinceMs ?? nowMs);
  }
  return { lagRecords, lagSeconds: Math.max(0, (nowMs - sinceMs) / 1000), stoppedSlots: own.filter(({ stopped }) => stopped).length };
}

/** Calls that come while one is about to start share it: 64 slots that find their positions together ask once. */
function coalesced<T>(work: () => Promise<T>): () => Promise<T> {
  let next: Promise<T> | undefined;
  return () =>
    (next ??= Promise.resolve().then(() => {
      next = undefined;
      return work();
    }));
}
