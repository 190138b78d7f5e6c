/**
 * The rows of one turn in memory: loaded once, folded over by every record that names them, stored once.
 *
 * A fold may only get rows that its record named in `reads`; anything else is a bug, because the row was not loaded.
 */
import type { AnyTable, Change, Ref, Row, Rows, Table } from '@millrace/domain';
import { assert, must, type Slot } from '@millrace/write';

interface Cell {
  readonly slot: Slot;
  readonly key: readonly string[];
  /** Handed out to be loaded. */
  asked: boolean;
  row: Row | undefined;
  /** On the shard, as of the load. */
  stored: boolean;
  dirty: boolean;
}

/** A row to load. */
export interface Wanted {
  readonly slot: Slot;
  readonly key: readonly string[];
}

/** A row to write. */
export interface Dirty {
  readonly slot: Slot;
  readonly row: Row;
}

export interface WorkingSet extends Rows {
  /** Names a row that a record reads. */
  want(slot: Slot, ref: Ref): void;
  /** The rows to load, per table, each once: those that were named since the last call. */
  wanted(): readonly { readonly table: AnyTable; readonly keys: readonly Wanted[] }[];
  /** Takes a row that the shard holds. */
  loaded(table: AnyTable, row: Row): void;
  change(change: Change): void;
  /** The rows to store, per table: those that the shard does not hold yet, and those that it holds otherwise. */
  dirty(): readonly { readonly table: AnyTable; readonly added: readonly Dirty[]; readonly changed: readonly Dirty[] }[];
}

export function createWorkingSet(): WorkingSet {
  const tables = new Map<AnyTable, Map<string, Cell>>();

  function cellOf(table: AnyTable, key: readonly string[]): Cell {
    return must(tables.get(table)?.get(nameOf(key)), `a fold touched ${table.name} ${key.join(' ')} that its record did not name`);
  }

  return {
    want(slot, { table, key }) {
      let cells = tables.get(table);
      if (!cells) tables.set(table, (cells = new Map<string, Cell>()));
      const name = nameOf(key);
      if (!cells.has(name)) cells.set(name, { slot, key, asked: false, row: undefined, stored: false, dirty: false });
    },
    wanted: () =>
      [...tables].flatMap(([table, cells]) => {
        const keys = [...cells.values()].filter(({ asked }) => !asked);
        for (const cell of keys) cell.asked = true;
        return keys.length === 0 ? [] : [{ table, keys }];
      }),
    loaded(table, row) {
      const cell = cellOf(table, keyOf(table, row));
      cell.row = row;
      cell.stored = true;
    },
    get: <R>(table: Table<R>, key: readonly string[]) => cellOf(table, key).row as R | undefined,
    change({ table, row }) {
      const cell = cellOf(table, keyOf(table, row));
      cell.row = row;
      cell.dirty = true;
    },
    dirty: () =>
      [...tables].flatMap(([table, cells]) => {
        const dirty = [...cells.values()].filter((cell) => cell.dirty);
        if (dirty.length === 0) return [];
        return [{ table, added: dirty.filter((cell) => !cell.stored).map(asDirty), changed: dirty.filter((cell) => cell.stored).map(asDirty) }];
      }),
  };
}

function asDirty(cell: Cell): Dirty {
  return { slot: cell.slot, row: must(cell.row, 'a dirty row is there') };
}

/** The primary key of a row, after the slot. */
export function keyOf(table: AnyTable, row: Row): readonly string[] {
  return table.key.map((column) => {
    const value = row[column];
    assert(typeof value === 'string', `the key column ${table.name}.${column} is text`);
    return value;
  });
}

function nameOf(key: readonly string[]): string {
  return key.length === 1 ? must(key[0], 'a key has columns') : key.join('\0');
}
