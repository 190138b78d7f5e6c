/** The questions to one shard, all within one snapshot of it. */
import type { Tx } from '@millrace/postgres';
import { RELEASE_TYPE } from '@millrace/wire';
import { ROWS_PER_QUERY_MAX } from './limits.ts';
import type { ForeignRows, JournalRow, ParkedRow, Position, SlotRows, SlotState } from './snapshot.ts';

/** What a shard says it is. */
export interface ShardIdentity {
  readonly shard: string;
  readonly slots: number;
}

/** Slot state and position of every slot that the shard has a row of. */
export interface SlotHead {
  readonly slot: number;
  readonly slotState: SlotState | null;
  readonly position: Position | null;
}

/** The rows of parking and release: what the fold needs before it reads the log. */
export interface ParkingRows {
  readonly parked: readonly ParkedRow[];
  readonly journal: readonly JournalRow[];
}

/** Makes the transaction one instant of the shard, and lets it stay open while the log is read. */
export async function openSnapshot(tx: Tx): Promise<void> {
  await tx.query({ text: 'set transaction isolation level repeatable read, read only' });
  await tx.query({ text: 'set local idle_in_transaction_session_timeout = 0' });
}

export async function readIdentity(tx: Tx): Promise<ShardIdentity | undefined> {
  const rows = await tx.query<ShardIdentity>({ text: 'select shard_id as shard, slots from shard_identity' });
  return rows[0];
}

export async function readHeads(tx: Tx): Promise<readonly SlotHead[]> {
  interface Row {
    readonly slot: number;
    readonly state: SlotState['state'] | null;
    readonly epoch: bigint | null;
    readonly movedTo: string | null;
    readonly nextOffset: bigint | null;
    readonly relayedOffset: bigint | null;
  }
  const rows = await tx.query<Row>({
    text: `
select slot, s.state, s.epoch, s.moved_to as "movedTo",
  p.next_offset as "nextOffset", p.relayed_offset as "relayedOffset"
from slot s
full join (select * from position where stream = 'writes') p using (slot)
order by slot`,
  });
  return rows.map(({ slot, state, epoch, movedTo, nextOffset, relayedOffset }) => ({
    slot,
    slotState: state === null || epoch === null ? null : { state, epoch, movedTo },
    position: nextOffset === null || relayedOffset === null ? null : { nextOffset, relayedOffset },
  }));
}

const JOURNAL_COLUMNS = `
"offset", body_hash as "bodyHash", at_ms::float8 as "atMs", encode(uuid_send(digest), 'hex') as digest, outcome, key, type,
detail ->> 'code' as code, detail ->> 'first' as "first", detail ->> 'released_by' as "releasedBy"`;

const PARKED_COLUMNS = `"offset", key, value, at_ms::float8 as "atMs"`;

/** Parked rows, releases, and the journal rows that a release let go, of the given slots. */
export async function readParking(tx: Tx, slots: readonly number[]): Promise<ReadonlyMap<number, ParkingRows>> {
  const parked = await tx.query<ParkedRow & { readonly slot: number }>({
    text: `select slot, ${PARKED_COLUMNS} from parked where slot = any($1::int[]) and stream = 'writes'`,
    values: [slots],
  });
  const journal = await tx.query<JournalRow & { readonly slot: number }>({
    text: `
select slot, ${JOURNAL_COLUMNS} from journal
where slot = any($1::int[]) and stream = 'writes' and detail is not null and (detail ? 'released_by' or type = $2)`,
    values: [slots, RELEASE_TYPE],
  });
  const parkedBySlot = Map.groupBy(parked, ({ slot }) => slot);
  const journalBySlot = Map.groupBy(journal, ({ slot }) => slot);
  return new Map(slots.map((slot) => [slot, { parked: parkedBySlot.get(slot) ?? [], journal: journalBySlot.get(slot) ?? [] }]));
}

/** All rows of one slot. */
export async function readSlot(tx: Tx, slot: number, head: SlotHead | undefined): Promise<SlotRows> {
  return {
    slotState: head?.slotState ?? null,
    position: head?.position ?? null,
    journal: await pages(tx, slot, { table: 'journal', columns: JOURNAL_COLUMNS, key: ['"offset"'], isStreamed: true }, ({ offset }: JournalRow) => [offset]),
    parked: await pages(tx, slot, { table: 'parked', columns: PARKED_COLUMNS, key: ['"offset"'], isStreamed: true }, ({ offset }: ParkedRow) => [offset]),
    accounts: await pages(tx, slot, { table: 'account', columns: 'key, currency, balance, held', key: ['key'] }, ({ key }: SlotRows['accounts'][number]) => [key]),
    payments: await pages(tx, slot, PAYMENT, ({ account, payment }: SlotRows['payments'][number]) => [account, payment]),
    orders: await pages(tx, slot, { table: 'orders', columns: 'key, account, currency, total, lines, state', key: ['key'] }, ({ key }: SlotRows['orders'][number]) => [key]),
    stock: await pages(tx, slot, { table: 'stock', columns: 'key, on_hand as "onHand", reserved', key: ['key'] }, ({ key }: SlotRows['stock'][number]) => [key]),
  };
}

const PAYMENT: PagedTable = {
  table: 'payment',
  columns: 'account, payment, currency, authorized, captured, refunded, released, order_id as "orderId"',
  key: ['account', 'payment'],
};

interface PagedTable {
  readonly table: string;
  readonly columns: string;
  /** The primary key behind the slot. */
  readonly key: readonly string[];
  readonly isStreamed?: boolean;
}

/** Reads a slot's rows of a table along its primary key, a page at a time. */
async function pages<Row>(tx: Tx, slot: number, { table, columns, key, isStreamed = false }: PagedTable, keyOf: (row: Row) => readonly unknown[]): Promise<readonly Row[]> {
  const stream = isStreamed ? ` and stream = 'writes'` : '';
  const behind = `(${key.join(', ')}) > (${key.map((_, index) => `$${index + 2}`).join(', ')})`;
  const rows: Row[] = [];
  for (let last: Row | undefined; ; last = rows.at(-1)) {
    const after = last === undefined ? '' : ` and ${behind}`;
    const page = await tx.query<Row>({
      text: `select ${columns} from ${table} where slot = $1${stream}${after} order by ${key.join(', ')} limit ${ROWS_PER_QUERY_MAX}`,
      values: [slot, ...(last === undefined ? [] : keyOf(last))],
    });
    for (const row of page) rows.push(row);
    if (page.length < ROWS_PER_QUERY_MAX) return rows;
  }
}

/** Tables that hold rows of slots, with what names a row. A position stays beside every slot row, a signpost too. */
const SLOTTED: readonly (readonly [table: string, sample: string])[] = [
  ['journal', '"offset"::text'],
  ['parked', '"offset"::text'],
  ['account', 'key'],
  ['payment', `account || ' ' || payment`],
  ['orders', 'key'],
  ['stock', 'key'],
];

/** What is noted of moves, with what names a row. */
const NOTED: readonly (readonly [table: string, sample: string])[] = [
  ['changed', `stream || ' ' || "offset"`],
  ['incoming', 'slot::text'],
];

/** Rows of all streams on this shard whose slot it does not hold in this snapshot. */
export async function readForeign(tx: Tx): Promise<readonly ForeignRows[]> {
  return countRows(tx, SLOTTED, `where not exists (select from slot s where s.slot = t.slot and s.state in ('ACTIVE', 'MOVING'))`);
}

/** Rows that a move needs and no slot keeps, by slot. */
export async function readNotes(tx: Tx): Promise<readonly ForeignRows[]> {
  return countRows(tx, NOTED, '');
}

async function countRows(tx: Tx, tables: typeof SLOTTED, where: string): Promise<readonly ForeignRows[]> {
  const found: ForeignRows[] = [];
  for (const [table, sample] of tables) {
    const rows = await tx.query<ForeignRows>({
      text: `select slot, '${table}' as "table", count(*) as rows, min(${sample}) as sample from ${table} t ${where} group by slot order by slot`,
    });
    found.push(...rows);
  }
  return found;
}
