/** Where the slots of this process stand, for people and their alarms. */
import { ownerOf } from '@millrace/ring';
import type { Check, Log } from '@millrace/runtime';
import type { Shards, TopologyFollower } from '@millrace/topology';
import type { ShardId, Stream } from '@millrace/write';
import type { Lane } from './lane.ts';
import type { LogEnds } from './log-ends.ts';
import type { ProcessorMetrics } from './metrics.ts';
import { countParkedKeys } from './parked.ts';
import type { SlotState, SlotStates } from './slot-state.ts';

export interface StandingInput {
  readonly stream: Stream;
  readonly slots: SlotStates;
  readonly topology: Pick<TopologyFollower, 'current'>;
  readonly shards: Shards;
  readonly logEnds: LogEnds;
  readonly metrics: ProcessorMetrics;
  readonly log: Log;
}

/** Parked keys are counted at every so many measurements. */
const PARKED_EVERY = 8;

/** Measures, each time that it is called. */
export function createStanding({ stream, slots, topology, shards, logEnds, metrics, log }: StandingInput): () => Promise<void> {
  let times = 0;
  let told = new Set<ShardId>();

  async function countParked(lane: Lane): Promise<void> {
    // A shard that does not answer keeps its last figure; its lane tells that it is down.
    await countParkedKeys(shards.get(lane.shard), stream).then(
      (keys) => metrics.parkedKeys(lane.shard, keys),
      (error: unknown) => log.debug({ shard: lane.shard, error }, 'parked keys not counted'),
    );
  }

  return async () => {
    times += 1;
    const ends = await logEnds();
    for (const [slot, state] of slots) state.highWatermark = ends.get(slot)?.high ?? state.highWatermark;
    const nowMs = Date.now();
    const byShard = Map.groupBy(slots.values(), (state) => shardOf(state, topology));
    for (const shard of told) if (!byShard.has(shard)) metrics.left(shard);
    told = new Set(byShard.keys());
    for (const [shard, own] of byShard) {
      const lane = own.find((state) => state.lane)?.lane;
      metrics.standing(shard, standingOf(lane, own, nowMs));
      if (lane && times % PARKED_EVERY === 1) await countParked(lane);
    }
  };
}

/** Without a lane a slot waits for the address of its shard. */
export function checkAddresses(slots: SlotStates, topology: Pick<TopologyFollower, 'current'>): Check {
  const without = Map.groupBy([...slots.values()].filter(({ lane }) => lane === undefined), (state) => shardOf(state, topology));
  const named = [...without].map(([shard, own]) => `shard ${shard} (slots ${own.map(({ slot }) => slot).join(', ')})`);
  return { name: 'addresses', ok: without.size === 0, detail: without.size === 0 ? 'all known' : `not in the shards file: ${named.join('; ')}` };
}

/** The shard that has the slot, or had it last; before any has, the one that the topology names. */
function shardOf({ slot, lane }: SlotState, topology: Pick<TopologyFollower, 'current'>): ShardId {
  return lane?.shard ?? ownerOf(topology.current(), slot);
}

/** How far a shard is behind, from the slots of this process. */
function standingOf(lane: Lane | undefined, own: readonly SlotState[], nowMs: number): Parameters<ProcessorMetrics['standing']>[1] {
  let lagRecords = 0;
  const oldestAtMs = lane?.status().oldestAtMs;
  let sinceMs = oldestAtMs ?? nowMs;
  for (const state of own) {
    const { applied, highWatermark } = state;
    const lag = applied === undefined || highWatermark === undefined ? 0 : Math.max(0, Number(highWatermark - applied));
    lagRecords += lag;
    state.laggingSinceMs = lag === 0 ? undefined : (state.laggingSinceMs ?? nowMs);
    const queued = oldestAtMs !== undefined && state.phase !== 'searching';
    if (!queued) sinceMs = Math.min(sinceMs, state.laggingSinceMs ?? nowMs);
  }
  const count = (wanted: SlotState['phase']): number => own.filter(({ phase }) => phase === wanted).length;
  return { lagRecords, lagSeconds: Math.max(0, (nowMs - sinceMs) / 1000), stoppedSlots: count('stopped'), searchingSlots: count('searching') };
}
