/** What the processor knows of a slot that is assigned to it. */
import type { Offset, Slot } from '@millrace/write';
import type { Gap } from './continuity.ts';
import type { Lane } from './lane.ts';

export interface SlotState {
  readonly slot: Slot;
  /**
   * `searching`: no shard is known to apply it now. `asked`: a lane is asked for its position. `placed`: its records go
   * to the lane. `stopped`: the log does not hold its next record.
   */
  phase: 'searching' | 'asked' | 'placed' | 'stopped';
  /** Of the shard that has it, or had it last; undefined while the shards file does not name the first one. */
  lane: Lane | undefined;
  /** The next offset to take from the log; undefined until a shard has told the position. */
  expected: Offset | undefined;
  applied: Offset | undefined;
  highWatermark: bigint | undefined;
  gap: Gap | undefined;
  /** How often the position was looked for: only the last time counts. */
  seeks: number;
  /** A batch was left out while the slot had no lane, for want of room or because of a gap: the log is to be read from `expected` again. */
  skipped: boolean;
  /** When a shard said that the slot is elsewhere; until another applies it. */
  refusedAtMs: number | undefined;
  /** Since when records wait that are not applied, as far as this process saw. */
  laggingSinceMs: number | undefined;
}

export type SlotStates = Map<Slot, SlotState>;

export function newSlotState(slot: Slot): SlotState {
  return {
    slot,
    phase: 'searching',
    lane: undefined,
    expected: undefined,
    applied: undefined,
    highWatermark: undefined,
    gap: undefined,
    seeks: 0,
    skipped: false,
    refusedAtMs: undefined,
    laggingSinceMs: undefined,
  };
}
