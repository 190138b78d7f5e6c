/** Cutting slices, so that a turn has its size and a poisoned record is found by halving. Pure. */
import { must, type Offset, type Slot } from '@millrace/write';
import type { LoggedRecord, Slice } from './model.ts';

const OFFSET_MAX = (2n ** 63n - 1n) as Offset;

/** A slice from beyond any log: it always meets a gap, and so tells the position. */
export function probeOf(slot: Slot): Slice {
  return { slot, from: OFFSET_MAX, to: OFFSET_MAX, records: [], bytes: 0 };
}

/** Records of one slot as a slice; the log holds no other in [from, to). */
export function sliceOf({ slot, from, to }: { slot: Slot; from: Offset; to: Offset }, records: readonly LoggedRecord[]): Slice {
  return { slot, from, to, records, bytes: records.reduce((sum, { key, value }) => sum + key.length + (value?.length ?? 0), 0) };
}

/** The slice in two, the first with `count` records; 0 < count < records. */
export function cutSlice(slice: Slice, count: number): readonly [Slice, Slice] {
  const at = must(slice.records[count], 'a cut lies inside the slice').offset;
  return [
    sliceOf({ slot: slice.slot, from: slice.from, to: at }, slice.records.slice(0, count)),
    sliceOf({ slot: slice.slot, from: at, to: slice.to }, slice.records.slice(count)),
  ];
}

/** How many records the slices hold. */
export function countRecords(slices: readonly Slice[]): number {
  return slices.reduce((sum, slice) => sum + slice.records.length, 0);
}

/** The slices in two halves by records, in order: every slot's records of the first come before those of the second. */
export function halve(slices: readonly Slice[]): readonly [readonly Slice[], readonly Slice[]] {
  const half = Math.floor(countRecords(slices) / 2);
  const first: Slice[] = [];
  const second: Slice[] = [];
  let taken = 0;
  for (const slice of slices) {
    const room = half - taken;
    if (room <= 0) second.push(slice);
    else if (slice.records.length <= room) first.push(slice);
    else {
      const [head, tail] = cutSlice(slice, room);
      first.push(head);
      second.push(tail);
    }
    taken += Math.min(slice.records.length, Math.max(room, 0));
  }
  return [first, second];
}
