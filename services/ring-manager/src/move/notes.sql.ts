/** What turns have noted of a slot that moves, on its source. */
import { sqlName, type Sql } from '@millrace/postgres';
import type { Slot, Stream } from '@millrace/write';
import type { Cursors } from './incoming.ts';
import { within, type Key, type KeyRange, type MoveTable } from './table.sql.ts';

export interface NotedKey {
  readonly table: string;
  readonly key: Key;
}

export interface OffsetRange {
  readonly slot: Slot;
  readonly stream: Stream;
  readonly from: bigint;
  /** Not included. */
  readonly to: bigint;
}

/** The keys that turns from a range of positions wrote, each once. */
export function notedKeys({ slot, stream, from, to }: OffsetRange): Sql {
  return {
    name: 'move-noted',
    text: `select "table", key from changed where slot = $1 and stream = $2 and "offset" >= $3 and "offset" < $4 group by "table", key`,
    values: [slot, stream, from, to],
  };
}

/** The keys of a table that turns from the cursors on wrote. */
export function notedSince(slot: Slot, table: string, cursors: Cursors, keysMax: number): Sql {
  return {
    name: 'move-noted-since',
    text: `select distinct key from (
             select key from changed where slot = $1 and stream = 'writes' and "offset" >= $3 and "table" = $2
             union all
             select key from changed where slot = $1 and stream = 'sagas' and "offset" >= $4 and "table" = $2
           ) c limit $5`,
    values: [slot, table, cursors.writes, cursors.sagas, keysMax],
  };
}

/** The keys within a range of a table that turns from the cursors on wrote: all text of primary keys is ordered by bytes. */
export function notedWithin(slot: Slot, table: MoveTable, range: KeyRange, cursors: Cursors): Sql {
  const parts = table.key.map(({ column, type }, i) => `${type === 'text' ? `c.key[${i + 1}] collate "C"` : `c.key[${i + 1}]::${type}`} as ${sqlName(column)}`);
  return {
    text: `select distinct c.key from changed c cross join lateral (select ${parts.join(', ')}) t
           where c.slot = $1 and c."table" = $2 and c."offset" >= case c.stream when 'writes' then $3::bigint else $4::bigint end and ${within(table, range)}`,
    values: [slot, table.name, cursors.writes, cursors.sagas],
  };
}

/** How far into a range one transaction goes: so many journal rows and notes, or all notes of one turn. */
export function rangeEnd({ slot, stream, from, to }: OffsetRange, { rowsMax, keysMax }: { readonly rowsMax: number; readonly keysMax: number }): Sql {
  return {
    name: 'move-range-end',
    text: `select least($4::bigint,
                    (select "offset" from journal where slot = $1 and stream = $2 and "offset" >= $3 and "offset" < $4
                     order by slot, stream, "offset" offset $5 limit 1),
                    (select greatest("offset", $3::bigint + 1) from changed where slot = $1 and stream = $2 and "offset" >= $3 and "offset" < $4
                     order by slot, stream, "offset" offset $6 limit 1)) as "to"`,
    values: [slot, stream, from, to, rowsMax, keysMax],
  };
}

/** Deletes some notes of a slot. */
export function purgeNotes(slot: Slot, rows: number): Sql {
  return {
    name: 'move-purge-notes',
    text: `with gone as (
             delete from changed where ctid = any(array(select ctid from changed where slot = $1 order by slot, stream, "offset" limit $2)) returning 1
           )
           select count(*) as rows from gone`,
    values: [slot, rows],
  };
}
