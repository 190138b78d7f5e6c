/**
 * What a turn notes of a slot that moves: the primary key of every row that it writes, so that the mover copies those
 * rows again. Pure.
 *
 * Journal rows at the turn's position and above are not noted, because the mover finds them by their offsets. Only a
 * release writes below it: the outcomes of records that were parked long before.
 */
import { must, type Offset, type Slot, type Stream } from '@millrace/write';
import type { Claim } from './admit.ts';
import type { Folded } from './fold.ts';
import type { LoggedRecord } from './model.ts';
import { JOURNAL, PARKED } from './slot-tables.ts';
import { keyOf, type WorkingSet } from './working-set.ts';

export interface Note {
  readonly slot: Slot;
  /** The slot's position before the turn: a mover whose cursor is at or below it has not copied what the turn wrote. */
  readonly offset: Offset;
  readonly table: string;
  /** The primary key after the slot, as text. */
  readonly key: readonly string[];
}

export interface Written {
  readonly stream: Stream;
  readonly folded: Folded;
  readonly dirty: ReturnType<WorkingSet['dirty']>;
}

/** The slots that move, each with its position before the turn. */
export function movingSlots({ slots, positions }: Claim): ReadonlyMap<Slot, Offset> {
  const moving = new Map<Slot, Offset>();
  for (const { slot, state } of slots.values()) {
    if (state === 'MOVING') moving.set(slot, must(positions.get(slot), 'a slot that moves has its position').next_offset);
  }
  return moving;
}

/** Each key once. */
export function notesOf(moving: ReadonlyMap<Slot, Offset>, { stream, folded, dirty }: Written): readonly Note[] {
  if (moving.size === 0) return [];
  const notes = new Map<string, Note>();

  function note(slot: Slot, table: string, key: readonly string[]): void {
    const offset = moving.get(slot);
    if (offset !== undefined) notes.set([slot, table, ...key].join('\0'), { slot, offset, table, key });
  }

  function noteRecord(table: string, { slot, offset }: LoggedRecord): void {
    note(slot, table, [stream, offset.toString()]);
  }

  for (const { table, added, changed } of dirty) {
    for (const rows of [added, changed]) for (const { slot, row } of rows) note(slot, table.name, keyOf(table, row));
  }
  for (const { record } of folded.parked) noteRecord(PARKED.name, record);
  for (const record of folded.released) noteRecord(PARKED.name, record);
  for (const { record } of folded.journal) {
    if (record.offset < (moving.get(record.slot) ?? 0n)) noteRecord(JOURNAL.name, record);
  }
  return [...notes.values()];
}
