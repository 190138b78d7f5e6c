/**
 * Where a slot is, as a shard says without a lock: a hint. A turn decides under its locks; this look waits for nobody,
 * while a turn would wait for the mover that is about to activate the slot, and the shard's other slots with it.
 */
import type { Sql } from '@millrace/postgres';
import type { ShardId, Slot } from '@millrace/write';
import type { SlotRow } from './position.sql.ts';

export interface SlotSign {
  readonly slot: Slot;
  readonly state: SlotRow['state'];
  readonly moved_to: ShardId | null;
}

export function readSigns(slots: readonly Slot[]): Sql {
  return { name: 'slot-sign', text: 'select slot, state, moved_to from slot where slot = any($1::int[])', values: [slots] };
}
