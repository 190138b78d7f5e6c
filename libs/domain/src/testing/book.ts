/** A shard in memory for tests: writes are parsed, folded and stored one by one, under the rules of `WriteType`. */
import { assert, must, routingKey, type Offset, type Tenant } from '@millrace/write';
import { commandTypes, writeTypes, type AnyTable, type Decision, type Row, type Rows, type Table } from '../index.ts';

export interface Book {
  /** Folds one write in. @throws where the schema refuses the data, or the fold breaks a rule of write types. */
  write(type: string, data: unknown): Decision;
  /** `applied`, or the code of the refusal. */
  outcome(type: string, data: unknown): string;
  row<R>(table: Table<R>, ...key: readonly string[]): R | undefined;
  /** Every row, by table and key. */
  readonly rows: ReadonlyMap<string, Row>;
}

const demo = 'demo' as Tenant;

export function createBook(): Book {
  const rows = new Map<string, Row>();
  let next = 0n;

  function write(type: string, unparsed: unknown): Decision {
    const writeType = must(writeTypes.get(type) ?? commandTypes.get(type), `there is a write type ${type}`);
    const data = deepFreeze(writeType.schema.parse(unparsed));
    const at = { key: routingKey(demo, writeType.id(data)), tenant: demo, atMs: 1_700_000_000_000, offset: next++ as Offset };
    const named = new Set(writeType.reads(at, data).map(({ table, key }) => nameOf(table, key)));
    const readable: Rows = {
      get<R>(table: Table<R>, key: readonly string[]): R | undefined {
        const name = nameOf(table, key);
        assert(named.has(name), `${type} got ${name}, which its reads do not name`);
        return rows.get(name) as R | undefined;
      },
    };
    const decision = writeType.apply(readable, at, data);
    if (decision.outcome === 'refused') return decision;
    for (const { table, row } of decision.changes) {
      const name = nameOf(table, table.key.map((column) => String(row[column])));
      assert(named.has(name), `${type} changed ${name}, which its reads do not name`);
      checkColumns(table, row);
      rows.set(name, deepFreeze(row));
    }
    return decision;
  }

  return {
    write,
    outcome(type, data) {
      const decision = write(type, data);
      return decision.outcome === 'applied' ? 'applied' : decision.code;
    },
    row: <R>(table: Table<R>, ...key: readonly string[]) => rows.get(nameOf(table, key)) as R | undefined,
    rows,
  };
}

function nameOf(table: { readonly name: string }, key: readonly string[]): string {
  return [table.name, ...key].join(' ');
}

/** A row has exactly its table's columns, each of its type and within the range of Postgres. */
function checkColumns(table: AnyTable, row: Row): void {
  const columns = Object.keys(table.columns).toSorted().join();
  assert(Object.keys(row).toSorted().join() === columns, `a row of ${table.name} has the columns ${columns}`);
  for (const [column, type] of Object.entries(table.columns)) {
    const value = row[column];
    const fits =
      type === 'bigint' ? typeof value === 'bigint' && value >= 0n && value < 2n ** 63n
      : type === 'text' ? typeof value === 'string' || value === null
      : Array.isArray(value);
    assert(fits, `${table.name}.${column} holds ${String(value)}, not a ${type} from 0`);
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    Object.values(value).forEach(deepFreeze);
    Object.freeze(value);
  }
  return value;
}
