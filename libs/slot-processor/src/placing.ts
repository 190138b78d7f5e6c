/**
 * Which lane has which slot: from the assignment to a shard, and from shard to shard as the rows tell (W2).
 *
 * A shard that does not apply a slot gives its records back. They are kept while the slot's shard is looked for, and the
 * next lane goes on with them: it is asked for the position first only where nothing is kept, because a turn tells by
 * itself what its records do not continue.
 */
import type { SlotConsumer } from '@millrace/kafka';
import { ownerOf, type Topology } from '@millrace/ring';
import { sleep } from '@millrace/runtime';
import { UnknownShard, type TopologyFollower } from '@millrace/topology';
import type { Offset, ShardId, Slot } from '@millrace/write';
import { lookAgainMs, type ShardFinder } from './find-shard.ts';
import type { Intake } from './intake.ts';
import type { Kept } from './kept.ts';
import type { LaneEvents, Refusal } from './lane.ts';
import type { ProcessorMetrics } from './metrics.ts';
import type { Slice } from './model.ts';
import type { ShardLanes } from './shard-lanes.ts';
import { newSlotState, type SlotState, type SlotStates } from './slot-state.ts';

export interface Placing {
  /** Starts all slots of this process anew: what Kafka remembers of them is not believed (W4). */
  assign(assigned: readonly Slot[]): void;
  eventsOf(shard: ShardId): LaneEvents;
  onTopology(next: Topology): void;
  /** Places slots anew that wait for a shard which is down and which, by the topology, is not theirs any more. */
  leaveDeadShards(): void;
}

export interface PlacingInput {
  readonly slots: SlotStates;
  readonly kept: Kept;
  readonly intake: Intake;
  readonly consumer: () => SlotConsumer;
  readonly lanes: () => ShardLanes;
  readonly topology: Pick<TopologyFollower, 'current'>;
  readonly finder: ShardFinder;
  readonly metrics: ProcessorMetrics;
  readonly signal: AbortSignal;
  readonly onFatal: (error: unknown) => void;
}

export function createPlacing({ slots, kept, intake, consumer, lanes, topology, finder, metrics, signal, onFatal }: PlacingInput): Placing {
  let known = topology.current();

  function begin(slot: Slot): void {
    slots.get(slot)?.lane?.drop(slot);
    kept.take(slot);
    const state = newSlotState(slot);
    slots.set(slot, state);
    place(state, ownerOf(topology.current(), slot));
  }

  function place(state: SlotState, shard: ShardId): void {
    const { slot } = state;
    try {
      state.lane = lanes().of(shard).lane;
    } catch (error) {
      if (!(error instanceof UnknownShard)) throw error;
      return search(state, undefined);
    }
    if (state.expected !== undefined && kept.from(slot) !== undefined) return goOn(state);
    state.phase = 'asked';
    state.lane.probe(slot);
    regulate(state);
  }

  /** From here on the lane has what is kept, and what comes. */
  function goOn(state: SlotState): void {
    state.phase = 'placed';
    for (const slice of kept.take(state.slot)) state.lane?.offer(slice);
    if (state.skipped && state.expected !== undefined) consumer().seek(state.slot, state.expected);
    state.skipped = false;
    regulate(state);
  }

  /** What the lane told of its flow before was told to the slots that it had then. */
  function regulate({ slot, lane, skipped }: SlotState): void {
    if (skipped || lane?.flow() === 'pause') consumer().pause([slot]);
    else consumer().resume([slot]);
  }

  function onPosition(state: SlotState, position: Offset): void {
    const from = kept.from(state.slot) ?? state.expected;
    const continues = state.phase === 'asked' && state.expected !== undefined && from !== undefined && from <= position && position <= state.expected;
    applied(state, position);
    if (continues) return goOn(state);
    kept.take(state.slot);
    state.expected = undefined;
    goOn(state);
    intake.seek(state, position);
  }

  function applied(state: SlotState, next: Offset): void {
    if (state.applied === undefined || next > state.applied) state.applied = next;
    if (state.refusedAtMs === undefined || !state.lane) return;
    metrics.followed(state.lane.shard, state.slot, performance.now() - state.refusedAtMs);
    state.refusedAtMs = undefined;
  }

  function onRefused(state: SlotState, refusal: Refusal, left: readonly Slice[]): void {
    if (state.phase === 'placed') keep(state, left);
    state.phase = 'searching';
    state.seeks += 1;
    if (refusal.kind === 'held') return later(state, () => sleep(refusal.forMs, signal).then(() => state.lane?.shard));
    search(state, refusal.movedTo);
  }

  /** What the lane gives back is kept where it reaches up to what comes next from the log; else the log is read again. */
  function keep(state: SlotState, left: readonly Slice[]): void {
    const reaches = left.length === 0 || left.at(-1)?.to === state.expected;
    if (!reaches || !kept.add(state.slot, left)) state.expected = undefined;
  }

  /** A slot that was found and refused again waits before it is looked for: the rows that are read without a lock and those of the turn differ. */
  function search(state: SlotState, movedTo: ShardId | undefined): void {
    state.phase = 'searching';
    const { slot } = state;
    // What comes meanwhile is of no use where nobody knows what comes next; `place` lets it flow again.
    if (state.expected === undefined) consumer().pause([slot]);
    const again = state.refusedAtMs !== undefined;
    const sinceMs = (state.refusedAtMs ??= performance.now());
    const wanted = (): boolean => slots.get(slot) === state;
    later(state, async () => {
      if (again) await sleep(lookAgainMs(performance.now() - sinceMs), signal);
      return finder.find({ slot, movedTo, sinceMs, wanted });
    });
  }

  /** Places the slot where the work says, unless it was begun anew or revoked meanwhile. */
  function later(state: SlotState, where: () => Promise<ShardId | undefined>): void {
    void where()
      .then((shard) => {
        if (shard !== undefined && slots.get(state.slot) === state && state.phase === 'searching') place(state, shard);
      })
      .catch((error: unknown) => {
        if (!signal.aborted) onFatal(error);
      });
  }

  /** What lanes tell of slots that they no longer have is late. */
  function ofLane(shard: ShardId, slot: Slot, act: (state: SlotState) => void): void {
    const state = slots.get(slot);
    if (state?.lane?.shard === shard && (state.phase === 'asked' || state.phase === 'placed')) act(state);
  }

  function leaveDeadShards(): void {
    for (const { slot, phase, lane } of slots.values()) {
      if (phase !== 'asked' && phase !== 'placed') continue;
      if (lane && !lane.status().up && lane.shard !== ownerOf(topology.current(), slot)) begin(slot);
    }
  }

  return {
    assign(assigned) {
      for (const [slot, { lane }] of slots) {
        lane?.drop(slot);
        kept.take(slot);
      }
      slots.clear();
      assigned.forEach(begin);
    },
    eventsOf: (shard) => ({
      onPosition: (slot, position) => ofLane(shard, slot, (state) => onPosition(state, position)),
      onApplied: (slot, next) => ofLane(shard, slot, (state) => applied(state, next)),
      onRefused: (slot, refusal, left) => ofLane(shard, slot, (state) => onRefused(state, refusal, left)),
      onFlow() {
        for (const slot of slots.keys()) ofLane(shard, slot, regulate);
      },
      onBug: onFatal,
    }),
    onTopology(next) {
      for (const { slot, phase, lane, expected } of slots.values()) {
        const owner = ownerOf(next, slot);
        if (owner === ownerOf(known, slot) || lane?.shard === owner) continue;
        // The row of the old shard tells where to, and gives back what waits there.
        if (phase === 'placed' && expected !== undefined) lane?.ask(slot, expected);
      }
      known = next;
      leaveDeadShards();
    },
    leaveDeadShards,
  };
}
