/**
 * The slot processor: Kafka's consumer on one side, a lane per shard on the other, and the slots between them.
 *
 * A slot that is assigned to this process first asks its shard for the position (a probe) and seeks there. From then
 * on every batch must continue what came before. The assignment is a hint about who should do the work; who may do it
 * is decided by the rows on the shard.
 */
import { createSlotConsumer, type KafkaClient, type SlotConsumer } from '@millrace/kafka';
import { sleep, type Check, type Log, type Registry } from '@millrace/runtime';
import type { Shards, TopologyFollower } from '@millrace/topology';
import type { ShardId, Slot } from '@millrace/write';
import { drainLanes } from './drain-lanes.ts';
import { createShardFinder } from './find-shard.ts';
import { createIntake } from './intake.ts';
import { createKept } from './kept.ts';
import { FETCH_BYTES_MAX } from './limits.ts';
import type { OnCommitted } from './lane.ts';
import { createLogEnds } from './log-ends.ts';
import { createProcessorMetrics } from './metrics.ts';
import type { StreamModel } from './model.ts';
import { createPlacing } from './placing.ts';
import type { Publishers } from './relay.ts';
import { DRAIN } from './service-limits.ts';
import { createShardLanes, type ShardLanes } from './shard-lanes.ts';
import type { SlotStates } from './slot-state.ts';
import { checkAddresses, createStanding } from './standing.ts';
import { within } from './within.ts';

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
  /** Hears of every record that was applied or refused, once it is committed; after a crash not of those before it. */
  readonly onCommitted?: OnCommitted;
  /** The process cannot go on: end it, and start again from the rows. */
  readonly onFatal: (error: unknown) => void;
}

export interface SlotProcessor {
  /** The slots of a shard that this process applies now. */
  slotsOn(shard: ShardId): readonly Slot[];
  start(): Promise<void>;
  /** Ordered: no more intake, turns under way end, events go out, offsets are committed, the group is left. */
  stop(): Promise<void>;
  health(): { readonly live: readonly Check[]; readonly ready: readonly Check[] };
}

const TICK_MS = 2_000;
/** A turn that makes no progress for so long means that the process is stuck: statements time out far earlier. */
const STUCK_MS = 120_000;

export function createSlotProcessor(input: SlotProcessorInput): SlotProcessor {
  const { model, topology, log, onFatal } = input;
  const metrics = createProcessorMetrics({ stream: model.stream, log, registry: input.registry });
  const stopping = new AbortController();
  const relayStop = new AbortController();
  const { signal } = stopping;
  const slots: SlotStates = new Map();
  const kept = createKept();
  const logEnds = createLogEnds({ ...input, signal });
  const finder = createShardFinder({ ...input, signal });
  const shared = { ...input, slots, kept, logEnds, metrics, signal, consumer: (): SlotConsumer => consumer, lanes: (): ShardLanes => lanes };
  const intake = createIntake(shared);
  const placing = createPlacing({ ...shared, intake, finder });
  const lanes = createShardLanes({ ...input, slots: topology.current().slots, metrics, eventsOf: placing.eventsOf, signal, relaySignal: relayStop.signal });
  const handlers = { onAssigned, onBatch: intake.onBatch, onCrash: onFatal };
  const consumer = createSlotConsumer({ ...input, maxBytes: FETCH_BYTES_MAX, handlers });
  const measure = createStanding({ ...shared, stream: model.stream });
  let joined = false;

  function onAssigned(assigned: readonly Slot[]): void {
    // Without any the member is between two lives; a member that gets none because others have all is rare and idle.
    joined = assigned.length > 0;
    placing.assign(assigned);
    log.info({ slots: assigned.length }, 'slots assigned');
  }

  /** Kafka's committed offsets are a hint to people and to monitoring: how far the events are out. */
  async function commit(): Promise<void> {
    const offsets = [...slots].flatMap(([slot, { lane }]) => (lane ? [{ slot, offset: lanes.of(lane.shard).relay.relayedOf(slot) }] : []));
    await consumer.commit(offsets.filter(({ offset }) => offset > 0n));
  }

  const ticking = every(TICK_MS, signal, async () => {
    placing.leaveDeadShards();
    await commit();
    await measure();
  });

  return {
    slotsOn: (shard) => [...slots].flatMap(([slot, { lane }]) => (lane?.shard === shard ? [slot] : [])),
    async start() {
      topology.onChange(placing.onTopology);
      await consumer.start();
    },
    async stop() {
      consumer.pause(slots.keys());
      stopping.abort(new Error('the slot processor stops'));
      await drainLanes({ lanes: lanes.all(), stopRelays: () => relayStop.abort(new Error('the slot processor stops')), log });
      await within(DRAIN.commitMs, ticking.then(commit));
      if (!(await within(DRAIN.leaveMs, consumer.stop()))) log.warn({ waitedMs: DRAIN.leaveMs }, 'the group is not left; its slots wait until the session is over');
    },
    health() {
      const now = Date.now();
      const states = lanes.all().map(({ lane }) => ({ shard: lane.shard, ...lane.status() }));
      const stuck = states.filter(({ busySinceMs, up }) => up && busySinceMs !== undefined && now - busySinceMs > STUCK_MS);
      const down = states.filter(({ up }) => !up).map(({ shard }) => shard);
      const stopped = [...slots].filter(([, { phase }]) => phase === 'stopped').map(([slot]) => slot);
      return {
        live: [{ name: 'lanes', ok: stuck.length === 0, detail: stuck.map(({ shard }) => `shard ${shard} makes no progress`).join('; ') }],
        ready: [
          { name: 'group', ok: joined, detail: joined ? `${slots.size} slots` : 'not in the consumer group yet' },
          { name: 'shards', ok: states.length === 0 || down.length < states.length, detail: down.length === 0 ? 'all answer' : `down: ${down.join(', ')}` },
          checkAddresses(slots, topology),
          { name: 'log', ok: stopped.length === 0, detail: stopped.length === 0 ? 'whole' : `slots without their next record: ${stopped.join(', ')}` },
        ],
      };
    },
  };
}

/** Does the work again and again, a pause after each, until the signal aborts. */
async function every(pauseMs: number, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await sleep(pauseMs, signal).then(work).catch((error: unknown) => {
      if (!signal.aborted) throw error;
    });
  }
}
