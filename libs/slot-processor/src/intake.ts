/**
 * From Kafka to the lanes: every batch must continue what came before in its slot (W4).
 *
 * A slot whose shard is known hands its records to the lane; of a slot that is between two shards they are kept, as far
 * as there is room.
 */
import type { SlotBatch, SlotConsumer } from '@millrace/kafka';
import { must, recordKey, type Offset, type Slot } from '@millrace/write';
import { continueFrom } from './continuity.ts';
import type { Kept } from './kept.ts';
import type { LogEnds } from './log-ends.ts';
import type { ProcessorMetrics } from './metrics.ts';
import type { LoggedRecord, Slice } from './model.ts';
import type { SlotState, SlotStates } from './slot-state.ts';
import { sliceOf } from './slices.ts';

export interface Intake {
  onBatch(batch: SlotBatch): void;
  /** Reads on from a position that the log still holds; a slot whose log does not is stopped, and an operator told. */
  seek(state: SlotState, position: Offset): void;
}

export interface IntakeInput {
  readonly slots: SlotStates;
  readonly kept: Kept;
  readonly consumer: () => SlotConsumer;
  readonly logEnds: LogEnds;
  readonly metrics: ProcessorMetrics;
  readonly signal: AbortSignal;
  readonly onFatal: (error: unknown) => void;
}

export function createIntake({ slots, kept, consumer, logEnds, metrics, signal, onFatal }: IntakeInput): Intake {
  function onBatch(batch: SlotBatch): void {
    const state = slots.get(batch.slot);
    if (!state || state.phase === 'stopped') return;
    state.highWatermark = batch.highWatermark;
    if (state.expected === undefined || state.skipped) return;
    const next = continueFrom(state.expected, batch.records, state.gap);
    if (next.kind === 'skip') return;
    if (next.kind === 'gap') {
      state.gap = next.gap;
      if (state.lane) metrics.gap(state.lane.shard, state.slot, next.gap);
      return state.phase === 'placed' ? seek(state, state.expected) : leaveOut(state);
    }
    const slice = sliceOf({ slot: state.slot, from: next.from, to: next.to }, next.records.map((record) => loggedRecord(state.slot, record)));
    if (!handOver(state, slice)) return leaveOut(state);
    state.expected = next.to;
    state.gap = undefined;
  }

  function handOver(state: SlotState, slice: Slice): boolean {
    if (state.phase !== 'placed') return kept.add(state.slot, [slice]);
    must(state.lane, 'a placed slot has a lane').offer(slice);
    return true;
  }

  /** The log is read from `expected` again once the slot has its place. */
  function leaveOut(state: SlotState): void {
    state.skipped = true;
    consumer().pause([state.slot]);
  }

  function seek(state: SlotState, position: Offset): void {
    state.expected = undefined;
    const seeks = ++state.seeks;
    void logEnds()
      .then((ends) => {
        if (slots.get(state.slot) !== state || state.seeks !== seeks) return;
        const { low, high } = must(ends.get(state.slot), `the topic has slot ${state.slot}`);
        state.highWatermark = high;
        state.applied ??= position;
        if (position < low || position > high) return stop(state, { position, logStart: low, logEnd: high });
        state.expected = position;
        consumer().seek(state.slot, position);
        return undefined;
      })
      .catch((error: unknown) => {
        if (!signal.aborted) onFatal(error);
      });
  }

  function stop(state: SlotState, lost: { position: Offset; logStart: bigint; logEnd: bigint }): void {
    state.phase = 'stopped';
    consumer().pause([state.slot]);
    metrics.lost(must(state.lane, 'a shard told the position').shard, state.slot, lost);
  }

  return { onBatch, seek };
}

function loggedRecord(slot: Slot, record: SlotBatch['records'][number]): LoggedRecord {
  return { slot, offset: record.offset, key: recordKey(record.key), value: record.value, atMs: record.timestampMs };
}
