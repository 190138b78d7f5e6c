/** Which records a turn applies, by what it read under its locks. Pure. */
import { assert, type Offset, type ShardId, type Slot } from '@millrace/write';
import type { LoggedRecord, Slice } from './model.ts';
import type { PositionRow, SlotRow } from './position.sql.ts';

export type SlotResult =
  /** The records of the slices below `next` are applied, by this turn or before it. */
  | { readonly kind: 'applied'; readonly slot: Slot; readonly before: Offset; readonly relayed: Offset; readonly next: Offset }
  /** The slices start behind the position: records are missing between. */
  | { readonly kind: 'gap'; readonly slot: Slot; readonly position: Offset; readonly relayed: Offset }
  /** The slot is not this shard's (any more, or yet). */
  | { readonly kind: 'elsewhere'; readonly slot: Slot; readonly movedTo: ShardId | undefined }
  /** The slot is this shard's, but its mover holds it: no turn applies it for so long. */
  | { readonly kind: 'held'; readonly slot: Slot; readonly forMs: number };

/** What the turn locked and read. */
export interface Claim {
  readonly positions: ReadonlyMap<Slot, PositionRow>;
  readonly slots: ReadonlyMap<Slot, SlotRow>;
}

/** Which records this turn applies, and what becomes of each slot. */
export function admit(slices: readonly Slice[], claim: Claim): { readonly results: readonly SlotResult[]; readonly records: readonly LoggedRecord[] } {
  const records: LoggedRecord[] = [];
  const results = new Map<Slot, SlotResult>();
  for (const slice of slices) {
    const known = results.get(slice.slot);
    if (known && known.kind !== 'applied') continue;
    results.set(slice.slot, admitSlice(slice, known, claim, records));
  }
  return { results: [...results.values()], records };
}

function admitSlice(slice: Slice, known: (SlotResult & { kind: 'applied' }) | undefined, claim: Claim, records: LoggedRecord[]): SlotResult {
  const { slot } = slice;
  const row = claim.slots.get(slot);
  const position = claim.positions.get(slot);
  // W2
  if (!row || !position || (row.state !== 'ACTIVE' && row.state !== 'MOVING')) {
    return { kind: 'elsewhere', slot, movedTo: row?.moved_to ?? undefined };
  }
  if (row.held_ms !== null) return { kind: 'held', slot, forMs: row.held_ms };
  const next = known?.next ?? position.next_offset;
  if (slice.from > next) {
    assert(!known, 'W1: the slices of a slot follow each other without a gap');
    return { kind: 'gap', slot, position: next, relayed: position.relayed_offset };
  }
  for (const record of slice.records) if (record.offset >= next) records.push(record);
  return { kind: 'applied', slot, before: position.next_offset, relayed: position.relayed_offset, next: slice.to > next ? slice.to : next };
}
