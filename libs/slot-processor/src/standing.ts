/** Where the slots of this process stand, for people and their alarms. */
import type { Log } from '@millrace/runtime';
import type { Shards } from '@millrace/topology';
import type { Stream } from '@millrace/write';
import type { Lane } from './lane.ts';
import type { LogEnds } from './log-ends.ts';
import type { ProcessorMetrics } from './metrics.ts';
import { countParkedKeys } from './parked.ts';
import type { ShardLanes } from './shard-lanes.ts';
import type { SlotState, SlotStates } from './slot-state.ts';

export interface StandingInput {
  readonly stream: Stream;
  readonly slots: SlotStates;
  readonly lanes: ShardLanes;
  readonly shards: Shards;
  readonly logEnds: LogEnds;
  readonly metrics: ProcessorMetrics;
  readonly log: Log;
}

/** Parked keys are counted at every so many measurements. */
const PARKED_EVERY = 8;

/** Measures, each time that it is called. */
export function createStanding({ stream, slots, lanes, shards, logEnds, metrics, log }: StandingInput): () => Promise<void> {
  let times = 0;

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
    for (const { lane } of lanes.all()) {
      const own = [...slots.values()].filter((state) => state.lane === lane);
      metrics.standing(lane.shard, standingOf(lane, own, nowMs));
      if (times % PARKED_EVERY === 1) await countParked(lane);
    }
  };
}

/** How far a shard is behind, from the slots of this process. */
function standingOf(lane: Lane, own: readonly SlotState[], nowMs: number): Parameters<ProcessorMetrics['standing']>[1] {
  let lagRecords = 0;
  let sinceMs = lane.status().oldestAtMs ?? nowMs;
  for (const state of own) {
    const { applied, highWatermark } = state;
    const lag = applied === undefined || highWatermark === undefined ? 0 : Math.max(0, Number(highWatermark - applied));
    lagRecords += lag;
    state.laggingSinceMs = lag === 0 ? undefined : (state.laggingSinceMs ?? nowMs);
    const queued = lane.status().oldestAtMs !== undefined && state.phase !== 'searching';
    if (!queued) sinceMs = Math.min(sinceMs, state.laggingSinceMs ?? nowMs);
  }
  const count = (wanted: SlotState['phase']): number => own.filter(({ phase }) => phase === wanted).length;
  return { lagRecords, lagSeconds: Math.max(0, (nowMs - sinceMs) / 1000), stoppedSlots: count('stopped'), searchingSlots: count('searching') };
}
