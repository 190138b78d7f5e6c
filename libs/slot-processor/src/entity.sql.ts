/**
 * The domain's tables, by their descriptions: one set-based read and at most two set-based writes per table and turn.
 *
 * Many rows that the shard does not hold yet go in by COPY: the slot's lock makes a conflict impossible. Few of them, and
 * those that it holds, go by one upsert over unnested arrays, sorted by primary key.
 *
 * Both statements reach every row through the primary key, whatever the planner believes: statistics of a table that
 * grows by the second are always stale, and a join whose order is left open was seen to read the whole table.
 */
import type { AnyTable, Value } from '@millrace/domain';
import { copyText, plainArray, textArray, type Sql } from '@millrace/postgres';
import { toJson } from '@millrace/wire';
import { assert } from '@millrace/write';
import type { Dirty, Wanted } from './working-set.ts';

interface Statements {
  readonly load: string;
  readonly upsert: string;
  readonly copy: string;
  readonly columns: readonly string[];
}

const statements = new WeakMap<AnyTable, Statements>();

/** Reads the wanted rows that exist, without their slot. */
export function loadRows(table: AnyTable, keys: readonly Wanted[]): Sql {
  const parts = table.key.map((_, part) => textArray(keys.map((wanted) => wanted.key[part] ?? null)));
  return { name: `${table.name}-load`, text: statementsOf(table).load, values: [plainArray(keys.map((wanted) => wanted.slot)), ...parts] };
}

/** Replaces rows that exist, and inserts those that do not. */
export function upsertRows(table: AnyTable, rows: readonly Dirty[]): Sql {
  const { upsert, columns } = statementsOf(table);
  const sorted = [...rows].sort((a, b) => byPrimaryKey(table, a, b));
  const values = columns.map((column) => textArray(sorted.map(({ row }) => parameter(row[column] ?? null))));
  return { name: `${table.name}-upsert`, text: upsert, values: [plainArray(sorted.map(({ slot }) => slot)), ...values] };
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
           cross join lateral (
             select * from ${name} t
             where t.slot = k.slot and ${table.key.map((c) => `t.${quoted(c)} = k.${quoted(c)}`).join(' and ')} limit 1
           ) t`,
    upsert: `insert into ${name} (slot, ${columns.map(quoted).join(', ')})
              select * from unnest($1::int[], ${arrays})
              on conflict (slot, ${keyNames}) do update set ${rest.map((c) => `${quoted(c)} = excluded.${quoted(c)}`).join(', ')}`,
    copy: `copy ${name} (slot, ${columns.map(quoted).join(', ')}) from stdin`,
  };
}

function arrayType(table: AnyTable, column: string): string {
  return table.columns[column] ?? 'text';
}

function parameter(value: Value): string | null {
  if (typeof value === 'bigint') return value.toString();
  return typeof value === 'object' && value !== null ? toJson(value) : value;
}

function copyValue(value: Value): string {
  return copyText(parameter(value));
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
