/** The notes of a slot that moves, for its mover. */
import { copyText, plainArray, textArray, type Sql } from '@millrace/postgres';
import type { Stream } from '@millrace/write';
import type { Note } from './notes.ts';

export const COPY_NOTES = 'copy changed (slot, stream, "offset", "table", key) from stdin';

/** One line in COPY's text format. */
export function copyNoteLine(stream: Stream, { slot, offset, table, key }: Note): string {
  return `${slot}\t${stream}\t${offset}\t${table}\t${copyText(textArray(key))}\n`;
}

/** The same rows by one statement, which travels with the others of its turn. */
export function insertNotes(stream: Stream, notes: readonly Note[]): Sql {
  return {
    name: 'changed-insert',
    text: `insert into changed (slot, stream, "offset", "table", key)
           select slot, $1, "offset", "table", key::text[]
           from unnest($2::int[], $3::bigint[], $4::text[], $5::text[]) as u(slot, "offset", "table", key)`,
    values: [
      stream,
      plainArray(notes.map(({ slot }) => slot)),
      plainArray(notes.map(({ offset }) => offset)),
      plainArray(notes.map(({ table }) => table)),
      textArray(notes.map(({ key }) => textArray(key))),
    ],
  };
}
