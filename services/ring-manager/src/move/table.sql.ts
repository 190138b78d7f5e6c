/**
 * Copying, comparing and deleting the rows of a slot, of any table, by key ranges or by single keys.
 *
 * COPY takes no parameters, so ranges stand in the text, quoted. Every statement reaches its rows through the primary
 * key: with `BY_INDEX_ONLY` there is no other way to scan, and a lateral limit fixes the order of the joins.
 */
import { slotTables, type SlotTable } from '@millrace/slot-processor';
import { sqlLiteral, sqlName, textArray, type Database, type Sql } from '@millrace/postgres';
import { assert, type Slot } from '@millrace/write';

export interface MoveTable extends SlotTable {
  /** All columns, the slot included, in the order of the source. */
  readonly columns: readonly string[];
  /** Those that are compared as text. */
  readonly textual: readonly string[];
}

/** The values of the primary key after the slot, as text. */
export type Key = readonly string[];

/** A part of a table in the order of its primary key. */
export interface KeyRange {
  /** Not included; null: from the first row on. */
  readonly after: Key | null;
  /** Included; null: to the last row. */
  readonly to: Key | null;
}

export interface Sum {
  readonly rows: bigint;
  /** Of the rows' hashes: in whatever order, equal for equal rows. */
  readonly checksum: bigint;
}

export interface SumRow {
  readonly rows: bigint;
  readonly checksum: string;
}

export const NO_ROWS: Sum = { rows: 0n, checksum: 0n };

/** Types that hash to the same number on every shard, because they hash what they hold. */
const HASHED_BY_VALUE: readonly string[] = ['integer', 'bigint', 'text', 'uuid', 'bytea'];

interface Column {
  readonly table: string;
  readonly name: string;
  readonly type: string;
}

/** The tables of a slot, with the columns that both shards have. Fails where they differ. */
export async function readTables(source: Database, target: Database): Promise<readonly MoveTable[]> {
  const [here, there] = await Promise.all([readColumns(source), readColumns(target)]);
  const namesOf = (columns: readonly Column[]): string => columns.map(({ table, name, type }) => `${table}.${name} ${type}`).sort().join(', ');
  assert(namesOf(here) === namesOf(there), `the tables of a slot have the same columns on ${source.name} and ${target.name}`);
  return slotTables.map((table) => {
    const columns = here.filter((column) => column.table === table.name);
    return { ...table, columns: columns.map(({ name }) => name), textual: columns.filter(({ type }) => !HASHED_BY_VALUE.includes(type)).map(({ name }) => name) };
  });
}

async function readColumns(database: Database): Promise<readonly Column[]> {
  return database.query<Column>({
    text: `select c.relname as "table", a.attname as name, format_type(a.atttypid, null) as type
           from pg_class c join pg_attribute a on a.attrelid = c.oid
           where c.oid = any(array(select to_regclass(quote_ident(n)) from unnest($1::text[]) n)) and a.attnum > 0 and not a.attisdropped
           order by c.relname, a.attnum`,
    values: [slotTables.map(({ name }) => name)],
  });
}

/** The condition of a range, on `t`. */
export function within(table: MoveTable, { after, to }: KeyRange): string {
  const row = `(${table.key.map(({ column }) => `t.${sqlName(column)}`).join(', ')})`;
  const bounds = [after === null ? [] : [`${row} > ${literalKey(table, after)}`], to === null ? [] : [`${row} <= ${literalKey(table, to)}`]].flat();
  return bounds.length === 0 ? 'true' : bounds.join(' and ');
}

export function copyInSql(table: MoveTable): string {
  return `copy ${sqlName(table.name)} (${columnsOf(table)}) from stdin`;
}

/** The rows of a condition, in the order of the primary key. */
export function copyOutSql(table: MoveTable, slot: Slot, where: string): string {
  return `copy (select ${columnsOf(table, 't.')} from ${sqlName(table.name)} t where t.slot = ${slotOf(slot)} and ${where} order by ${keyOf(table)}) to stdout`;
}

/** The rows of some keys that exist. */
export function copyKeysOutSql(table: MoveTable, slot: Slot, keys: readonly Key[]): string {
  const arrays = keyArrays(table, keys).map((array) => `${sqlLiteral(array)}::text[]`);
  return `copy (select ${columnsOf(table, 't.')} from ${byKeys(table, slotOf(slot), arrays)}) to stdout`;
}

/** The last key of the next `rows` rows of a condition; no row where fewer are left. */
export function boundOf(table: MoveTable, slot: Slot, where: string, rows: number): Sql {
  return {
    text: `select array[${table.key.map(({ column }) => `t.${sqlName(column)}::text`).join(', ')}] as key
           from ${sqlName(table.name)} t where t.slot = $1 and ${where} order by ${keyOf(table)} offset $2 limit 1`,
    values: [slot, rows - 1],
  };
}

/** How many rows a condition has, and the sum of their hashes. */
export function sumOf(table: MoveTable, slot: Slot, where: string): Sql {
  return { text: `select ${sums(table)} from ${sqlName(table.name)} t where t.slot = $1 and ${where}`, values: [slot] };
}

/** The same of those of some keys that exist and fulfil a condition. */
export function sumOfKeys(table: MoveTable, slot: Slot, keys: readonly Key[], where = 'true'): Sql {
  return { text: `select ${sums(table)} from ${byKeys(table, '$1', arrayParameters(table))} where ${where}`, values: [slot, ...keyArrays(table, keys)] };
}

/** How many rows the slot has in a table, counted no further than `rowsMax`. */
export function countUpTo(table: MoveTable, slot: Slot, rowsMax: number): Sql {
  return { text: `select count(*) as rows from (select from ${sqlName(table.name)} t where t.slot = $1 limit $2) few`, values: [slot, rowsMax] };
}

export function deleteKeys(table: MoveTable, slot: Slot, keys: readonly Key[]): Sql {
  const name = sqlName(table.name);
  return {
    name: `move-delete-${table.name}`,
    text: `delete from ${name} where ctid = any(array(select t.ctid from ${byKeys(table, '$1', arrayParameters(table), 'x.*, x.ctid')}))`,
    values: [slot, ...keyArrays(table, keys)],
  };
}

/** The keys of some rows with their hashes, in the order of the primary key. */
export function hashesOf(table: MoveTable, slot: Slot, where: string, rowsMax: number): Sql {
  return {
    text: `select array[${table.key.map(({ column }) => `t.${sqlName(column)}::text`).join(', ')}] as key, ${hash(table)} as hash
           from ${sqlName(table.name)} t where t.slot = $1 and ${where} order by ${keyOf(table)} limit $2`,
    values: [slot, rowsMax],
  };
}

/** Deletes the next `rows` rows after a key; how many there were, and the last one's key. */
export function purgeNext(table: MoveTable, slot: Slot, after: Key | null, rows: number): Sql {
  const name = sqlName(table.name);
  return {
    text: `with gone as (
             delete from ${name} d where d.ctid = any(array(
               select t.ctid from ${name} t where t.slot = $1 and ${within(table, { after, to: null })} order by ${keyOf(table)} limit $2))
             returning d.*
           )
           select (select count(*) from gone) as rows,
                  (select array[${table.key.map(({ column }) => `t.${sqlName(column)}::text`).join(', ')}] from gone t
                   order by ${table.key.map(({ column }) => `t.${sqlName(column)} desc`).join(', ')} limit 1) as key`,
    values: [slot, rows],
  };
}

export function readSum(rows: readonly SumRow[]): Sum {
  const row = rows[0];
  assert(row, 'an aggregate has one row');
  return { rows: row.rows, checksum: BigInt(row.checksum) };
}

export function minus(a: Sum, b: Sum): Sum {
  return { rows: a.rows - b.rows, checksum: a.checksum - b.checksum };
}

export function plus(a: Sum, b: Sum): Sum {
  return { rows: a.rows + b.rows, checksum: a.checksum + b.checksum };
}

export function isEqual(a: Sum, b: Sum): boolean {
  return a.rows === b.rows && a.checksum === b.checksum;
}

/** For reports and errors. */
export function textOfRange({ after, to }: KeyRange): string {
  return `keys from ${after?.join(' ') ?? 'the first'} to ${to?.join(' ') ?? 'the last'}`;
}

function sums(table: MoveTable): string {
  return `count(*) as rows, coalesce(sum(${hash(table)}), 0)::text as checksum`;
}

/**
 * A row's hash, three times as quick as one of the row's text. Columns by name: the order in which a shard keeps them does
 * not count. As text go the types whose own hash is not of their value alone: an enum's is of its object id, which each
 * database has another of. The outer hash binds the columns together: `hash_record_extended` alone is linear in them,
 * and a sum of it would be the same where two rows had exchanged values.
 */
function hash(table: MoveTable): string {
  const values = table.columns.map((column) => `t.${sqlName(column)}${table.textual.includes(column) ? '::text' : ''}`);
  return `hashtextextended(hash_record_extended(row(${values.join(', ')}), 0)::text, 0)`;
}

function byKeys(table: MoveTable, slot: string, arrays: readonly string[], columns = '*'): string {
  const names = table.key.map(({ column }) => sqlName(column));
  const equal = table.key.map(({ column, type }) => `x.${sqlName(column)} = k.${sqlName(column)}::${type}`);
  return `unnest(${arrays.join(', ')}) as k(${names.join(', ')})
    cross join lateral (select ${columns} from ${sqlName(table.name)} x where x.slot = ${slot} and ${equal.join(' and ')} limit 1) t`;
}

function arrayParameters(table: MoveTable): readonly string[] {
  return table.key.map((_, i) => `$${i + 2}::text[]`);
}

function keyArrays(table: MoveTable, keys: readonly Key[]): readonly string[] {
  return table.key.map((_, part) => textArray(keys.map((key) => key[part] ?? null)));
}

function literalKey(table: MoveTable, key: Key): string {
  assert(key.length === table.key.length, `a key of ${table.name} has ${table.key.length} parts`);
  return `(${table.key.map(({ type }, part) => `${sqlLiteral(key[part] ?? '')}::${type}`).join(', ')})`;
}

function columnsOf(table: MoveTable, prefix = ''): string {
  return table.columns.map((column) => `${prefix}${sqlName(column)}`).join(', ');
}

function keyOf(table: MoveTable): string {
  return table.key.map(({ column }) => `t.${sqlName(column)}`).join(', ');
}

/** A slot stands in the text of a COPY. */
function slotOf(slot: Slot): string {
  assert(Number.isSafeInteger(slot) && slot >= 0, 'a slot is a number');
  return String(slot);
}
