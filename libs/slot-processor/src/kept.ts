/**
 * Records of slots that no shard applies at the moment: a slot that moved goes on with them at once, where fetching
 * them again would take longer than the move. Bounded over all slots; what does not fit is fetched again.
 */
import type { Offset, Slot } from '@millrace/write';
import { KEPT_BYTES_MAX, KEPT_RECORDS_MAX } from './limits.ts';
import type { Slice } from './model.ts';
import { countRecords } from './slices.ts';

export interface Kept {
  /** Takes slices that follow what is kept of their slot. False, and nothing is taken, where there is no room. */
  add(slot: Slot, slices: readonly Slice[]): boolean;
  /** Where what is kept of the slot begins. */
  from(slot: Slot): Offset | undefined;
  /** Gives all that is kept of the slot, in order, and forgets it. */
  take(slot: Slot): readonly Slice[];
}

export function createKept(): Kept {
  const bySlot = new Map<Slot, Slice[]>();
  let records = 0;
  let bytes = 0;

  return {
    add(slot, slices) {
      const more = { records: countRecords(slices), bytes: countBytes(slices) };
      if (records + more.records > KEPT_RECORDS_MAX || bytes + more.bytes > KEPT_BYTES_MAX) return false;
      records += more.records;
      bytes += more.bytes;
      const own = bySlot.get(slot);
      if (own) own.push(...slices);
      else if (slices.length > 0) bySlot.set(slot, [...slices]);
      return true;
    },
    from: (slot) => bySlot.get(slot)?.[0]?.from,
    take(slot) {
      const own = bySlot.get(slot) ?? [];
      bySlot.delete(slot);
      records -= countRecords(own);
      bytes -= countBytes(own);
      return own;
    },
  };
}

function countBytes(slices: readonly Slice[]): number {
  return slices.reduce((sum, slice) => sum + slice.bytes, 0);
}
