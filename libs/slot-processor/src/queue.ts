/** What waits for a shard: slices in the order of their arrival, counted in records and bytes. */
import { LANE_BYTES_HIGH, LANE_RECORDS_HIGH, LANE_RECORDS_LOW, TURN_BYTES_MAX, TURN_RECORDS_MAX } from './limits.ts';
import { assert, type Slot } from '@millrace/write';
import type { Slice } from './model.ts';
import { cutSlice } from './slices.ts';

export interface SliceQueue {
  add(slice: Slice): void;
  /** The next turn's slices: all that wait, up to a turn's limits. */
  take(): readonly Slice[];
  /** Takes out what waits of a slot. */
  drop(slot: Slot): readonly Slice[];
  records(): number;
  /** Above the limits: what feeds the queue pauses. */
  isHigh(): boolean;
  /** Far enough below the limits to resume. */
  isLow(): boolean;
  /** Log-append time of the oldest record that waits, in milliseconds since 1970. */
  oldestAtMs(): number | undefined;
}

/** `turnRecordsMax`: records that one turn takes. */
export function createSliceQueue(turnRecordsMax: number = TURN_RECORDS_MAX): SliceQueue {
  assert(turnRecordsMax >= 1 && turnRecordsMax <= TURN_RECORDS_MAX, 'a turn takes records, and no more than any may');
  let slices: Slice[] = [];
  let records = 0;
  let bytes = 0;

  function recount(): void {
    records = slices.reduce((sum, slice) => sum + slice.records.length, 0);
    bytes = slices.reduce((sum, slice) => sum + slice.bytes, 0);
  }

  return {
    add(slice) {
      slices.push(slice);
      records += slice.records.length;
      bytes += slice.bytes;
    },
    take() {
      const { turn, rest } = takeTurn(slices, turnRecordsMax);
      slices = rest;
      recount();
      return turn;
    },
    drop(slot) {
      const dropped = slices.filter((slice) => slice.slot === slot);
      slices = slices.filter((slice) => slice.slot !== slot);
      recount();
      return dropped;
    },
    records: () => records,
    isHigh: () => records >= LANE_RECORDS_HIGH || bytes >= LANE_BYTES_HIGH,
    isLow: () => records <= LANE_RECORDS_LOW && bytes <= LANE_BYTES_HIGH / 2,
    oldestAtMs: () => slices.find((slice) => slice.records.length > 0)?.records[0]?.atMs,
  };
}

function takeTurn(slices: readonly Slice[], recordsMax: number): { turn: Slice[]; rest: Slice[] } {
  const turn: Slice[] = [];
  let records = 0;
  let bytes = 0;
  for (const [index, slice] of slices.entries()) {
    const room = recordsMax - records;
    if (room <= 0 || (turn.length > 0 && bytes + slice.bytes > TURN_BYTES_MAX)) return { turn, rest: slices.slice(index) };
    if (slice.records.length > room) {
      const [head, tail] = cutSlice(slice, room);
      return { turn: [...turn, head], rest: [tail, ...slices.slice(index + 1)] };
    }
    turn.push(slice);
    records += slice.records.length;
    bytes += slice.bytes;
  }
  return { turn, rest: [] };
}
