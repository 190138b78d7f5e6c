/** Cutting slices, so that a turn has its size and a poisoned record is found by halving. Pure. */
import { must, type Offset, type Slot } from '@millrace/write';
import type { Entry, Slice } from './model.ts';

const OFFSET_MAX = (2n ** 63n - 1n) as Offset;

/** A slice from beyond any log: it always meets a gap, and so tells the position. */
export function probeOf(slot: Slot): Slice {
  return { slot, from: OFFSET_MAX, to: OFFSET_MAX, entries: [], bytes: 0 };
}

/** Entries of one slot as a slice; the log holds no record in [from, to) beside them. */
export function sliceOf({ slot, from, to }: { slot: Slot; from: Offset; to: Offset }, entries: readonly Entry[]): Slice {
  return { slot, from, to, entries, bytes: entries.reduce((sum, { record }) => sum + record.key.length + (record.value?.length ?? 0), 0) };
}

/** The slice in two, the first with `count` entries; 0 < count < entries. */
export function cutSlice(slice: Slice, count: number): readonly [Slice, Slice] {
  const at = must(slice.entries[count], 'a cut lies inside the slice').record.offset;
  return [
    sliceOf({ slot: slice.slot, from: slice.from, to: at }, slice.entries.slice(0, count)),
    sliceOf({ slot: slice.slot, from: at, to: slice.to }, slice.entries.slice(count)),
  ];
}

/** How many records the slices hold. */
export function countRecords(slices: readonly Slice[]): number {
  return slices.reduce((sum, slice) => sum + slice.entries.length, 0);
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
    else if (slice.entries.length <= room) first.push(slice);
    else {
      const [head, tail] = cutSlice(slice, room);
      first.push(head);
      second.push(tail);
    }
    taken += Math.min(slice.entries.length, Math.max(room, 0));
  }
  return [first, second];
}
