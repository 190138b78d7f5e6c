import type { Database } from '@millrace/postgres';
import type { ShardId } from '@millrace/write';

export type SlotState = 'INCOMING' | 'ACTIVE' | 'MOVING' | 'MOVED' | 'ABORTED';

/** What every read learns of the slot it reads in, in the same snapshot as the data. */
export interface SlotRow {
  readonly slot_state: SlotState | null;
  readonly moved_to: ShardId | null;
  /** The position of stream `writes`. */
  readonly next_offset: bigint | null;
}

/** True where this shard holds the slot (W2); the position then stands beside it. */
export function holdsSlot(row: SlotRow | undefined): row is SlotRow & { readonly next_offset: bigint } {
  return (row?.slot_state === 'ACTIVE' || row?.slot_state === 'MOVING') && row.next_offset !== null;
}

/** One row for each of the slots that the shard knows. */
export function readPositions(shard: Database, slots: readonly number[]): Promise<readonly (SlotRow & { readonly slot: number })[]> {
  return shard.query({
    name: 'gateway-positions',
    text: `
      select s.slot, s.state as slot_state, s.moved_to, p.next_offset
      from slot s
      left join position p on p.slot = s.slot and p.stream = 'writes'
      where s.slot = any($1::int[])`,
    values: [slots],
  });
}
