/**
 * The domain's tables, by their descriptions: one set-based read and at most two set-based writes per table and turn.
 *
 * Rows that the shard does not hold yet go in by COPY: the slot's lock makes a conflict impossible. The others are
 * replaced by one update over unnested arrays, sorted by primary key.
 */
import type { AnyTable, Value } from '@millrace/domain';
import { copyText, type Sql } from '@millrace/postgres';
import { toJson } from '@millrace/wire';
import { assert } from '@millrace/write';
import type { Dirty, Wanted } from './working-set.ts';

interface Statements {
  readonly load: string;
  readonly update: string;
  readonly copy: string;
  readonly columns: readonly string[];
}

const statements = new WeakMap<AnyTable, Statements>();

/** Reads the wanted rows that exist, without their slot. */
export function loadRows(table: AnyTable, keys: readonly Wanted[]): Sql {
  const parts = table.key.map((_, part) => keys.map((wanted) => wanted.key[part]));
  return { name: `${table.name}-load`, text: statementsOf(table).load, values: [keys.map((wanted) => wanted.slot), ...parts] };
}

/** Replaces rows that exist. */
export function updateRows(table: AnyTable, rows: readonly Dirty[]): Sql {
  const { update, columns } = statementsOf(table);
  const sorted = [...rows].sort((a, b) => byPrimaryKey(table, a, b));
  const values = columns.map((column) => sorted.map(({ row }) => parameter(row[column] ?? null)));
  return { name: `${table.name}-update`, text: update, values: [sorted.map(({ slot }) => slot), ...values] };
}

export function copyRowsSql(table: AnyTable): string {
  return statementsOf(table).copy;
}

/** One line in COPY's text format. */
export function copyRowLine(table: AnyTable, { slot, row }: Dirty): string {
  let line = String(slot);
  for (const column of statementsOf(table).columns) line += `\t${copyValue(row[column] ?? null)}`;
  return `${line}\n`;
}

function statementsOf(table: AnyTable): Statements {
  const known = statements.get(table);
  if (known) return known;
  const built = buildStatements(table);
  statements.set(table, built);
  return built;
}

function buildStatements(table: AnyTable): Statements {
  const columns = Object.keys(table.columns);
  const name = quoted(table.name);
  const rest = columns.filter((column) => !table.key.includes(column));
  const keyArrays = table.key.map((_, i) => `$${i + 2}::text[]`).join(', ');
  const keyNames = table.key.map(quoted).join(', ');
  const arrays = columns.map((column, i) => `$${i + 2}::${arrayType(table, column)}[]`).join(', ');
  return {
    columns,
    load: `select ${columns.map((column) => `t.${quoted(column)}`).join(', ')}
           from unnest($1::int[], ${keyArrays}) as k(slot, ${keyNames})
           join ${name} t on t.slot = k.slot and ${table.key.map((c) => `t.${quoted(c)} = k.${quoted(c)}`).join(' and ')}`,
    update: `update ${name} t set ${rest.map((c) => `${quoted(c)} = u.${quoted(c)}`).join(', ')}
             from unnest($1::int[], ${arrays}) as u(slot, ${columns.map(quoted).join(', ')})
             where t.slot = u.slot and ${table.key.map((c) => `t.${quoted(c)} = u.${quoted(c)}`).join(' and ')}`,
    copy: `copy ${name} (slot, ${columns.map(quoted).join(', ')}) from stdin`,
  };
}

function arrayType(table: AnyTable, column: string): string {
  return table.columns[column] ?? 'text';
}

function parameter(value: Value): string | bigint | null {
  return typeof value === 'object' && value !== null ? toJson(value) : value;
}

function copyValue(value: Value): string {
  if (typeof value === 'bigint') return value.toString();
  return copyText(typeof value === 'object' && value !== null ? toJson(value) : value);
}

function byPrimaryKey(table: AnyTable, a: Dirty, b: Dirty): number {
  if (a.slot !== b.slot) return a.slot - b.slot;
  for (const column of table.key) {
    const [x, y] = [a.row[column], b.row[column]];
    assert(typeof x === 'string' && typeof y === 'string', `the key column ${table.name}.${column} is text`);
    if (x !== y) return x < y ? -1 : 1;
  }
  return 0;
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
