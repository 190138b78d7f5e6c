/** The questions to one shard, all within one snapshot of it. */
import type { Tx } from '@millrace/postgres';
import { RELEASE_TYPE } from '@millrace/wire';
import type { Stream } from '@millrace/write';
import { ROWS_PER_QUERY_MAX } from './limits.ts';
import type { OfStreams } from './slot-ledger.ts';
import type { ForeignRows, JournalRow, ParkedRow, Position, SlotRows, SlotState, StreamRows } from './snapshot.ts';

/** What a shard says it is. */
export interface ShardIdentity {
  readonly shard: string;
  readonly slots: number;
}

/** Slot state and positions of every slot that the shard has a row of. */
export interface SlotHead {
  readonly slot: number;
  readonly slotState: SlotState | null;
  readonly positions: OfStreams<Position | null>;
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
    readonly writesNext: bigint | null;
    readonly writesRelayed: bigint | null;
    readonly sagasNext: bigint | null;
    readonly sagasRelayed: bigint | null;
  }
  const rows = await tx.query<Row>({
    text: `
select slot, s.state, s.epoch, s.moved_to as "movedTo",
  w.next_offset as "writesNext", w.relayed_offset as "writesRelayed",
  g.next_offset as "sagasNext", g.relayed_offset as "sagasRelayed"
from slot s
full join (select * from position where stream = 'writes') w using (slot)
full join (select * from position where stream = 'sagas') g using (slot)
order by slot`,
  });
  return rows.map(({ slot, state, epoch, movedTo, writesNext, writesRelayed, sagasNext, sagasRelayed }) => ({
    slot,
    slotState: state === null || epoch === null ? null : { state, epoch, movedTo },
    positions: { writes: positionOf(writesNext, writesRelayed), sagas: positionOf(sagasNext, sagasRelayed) },
  }));
}

function positionOf(nextOffset: bigint | null, relayedOffset: bigint | null): Position | null {
  return nextOffset === null || relayedOffset === null ? null : { nextOffset, relayedOffset };
}

const JOURNAL_COLUMNS = `
"offset", body_hash as "bodyHash", at_ms::float8 as "atMs", encode(uuid_send(digest), 'hex') as digest, outcome, key, type,
detail ->> 'code' as code, detail ->> 'first' as "first", detail ->> 'released_by' as "releasedBy",
nullif(detail - array['code', 'first', 'released_by'], '{}') as facts, messages`;

const PARKED_COLUMNS = `"offset", key, value, at_ms::float8 as "atMs"`;

/** Parked rows, releases, and the journal rows that a release let go, of the given slots. */
export async function readParking(tx: Tx, slots: readonly number[]): Promise<ReadonlyMap<number, OfStreams<ParkingRows>>> {
  interface Place {
    readonly slot: number;
    readonly stream: Stream;
  }
  const parked = await tx.query<ParkedRow & Place>({
    text: `select slot, stream::text as stream, ${PARKED_COLUMNS} from parked where slot = any($1::int[])`,
    values: [slots],
  });
  const journal = await tx.query<JournalRow & Place>({
    text: `
select slot, stream::text as stream, ${JOURNAL_COLUMNS} from journal
where slot = any($1::int[]) and detail is not null and (detail ? 'released_by' or type = $2)`,
    values: [slots, RELEASE_TYPE],
  });
  const nameOf = ({ slot, stream }: Place): string => `${slot} ${stream}`;
  const parkedByPlace = Map.groupBy(parked, nameOf);
  const journalByPlace = Map.groupBy(journal, nameOf);
  const rowsAt = (slot: number, stream: Stream): ParkingRows => ({ parked: parkedByPlace.get(nameOf({ slot, stream })) ?? [], journal: journalByPlace.get(nameOf({ slot, stream })) ?? [] });
  return new Map(slots.map((slot) => [slot, { writes: rowsAt(slot, 'writes'), sagas: rowsAt(slot, 'sagas') }]));
}

/** All rows of one slot. */
export async function readSlot(tx: Tx, slot: number, head: SlotHead | undefined): Promise<SlotRows> {
  const streamRows = async (stream: Stream): Promise<StreamRows> => ({
    position: head?.positions[stream] ?? null,
    journal: await pages(tx, slot, { table: 'journal', columns: JOURNAL_COLUMNS, key: ['"offset"'], stream }, ({ offset }: JournalRow) => [offset]),
    parked: await pages(tx, slot, { table: 'parked', columns: PARKED_COLUMNS, key: ['"offset"'], stream }, ({ offset }: ParkedRow) => [offset]),
  });
  return {
    slotState: head?.slotState ?? null,
    streams: { writes: await streamRows('writes'), sagas: await streamRows('sagas') },
    accounts: await pages(tx, slot, { table: 'account', columns: 'key, currency, balance, held, incoming', key: ['key'] }, ({ key }: SlotRows['accounts'][number]) => [key]),
    payments: await pages(tx, slot, PAYMENT, ({ account, payment }: SlotRows['payments'][number]) => [account, payment]),
    orders: await pages(tx, slot, { table: 'orders', columns: 'key, account, currency, total, lines', key: ['key'] }, ({ key }: SlotRows['orders'][number]) => [key]),
    stock: await pages(tx, slot, { table: 'stock', columns: 'key, on_hand as "onHand", reserved, incoming', key: ['key'] }, ({ key }: SlotRows['stock'][number]) => [key]),
    holds: await pages(tx, slot, HOLD, ({ key, kind, saga }: SlotRows['holds'][number]) => [key, kind, saga]),
    sagas: await pages(tx, slot, SAGA, ({ key, saga }: SlotRows['sagas'][number]) => [key, saga]),
  };
}

const HOLD: PagedTable = { table: 'hold', columns: 'key, kind, saga, direction, units, state', key: ['key', 'kind', 'saga'] };

const SAGA: PagedTable = {
  table: 'saga',
  columns: 'key, saga, state, body, due_ms as "dueMs", started_ms as "startedMs", changed_ms as "changedMs"',
  key: ['key', 'saga'],
};

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
  /** Of a table that holds rows of both. */
  readonly stream?: Stream;
}

/** Reads a slot's rows of a table along its primary key, a page at a time. */
async function pages<Row>(tx: Tx, slot: number, { table, columns, key, stream: of }: PagedTable, keyOf: (row: Row) => readonly unknown[]): Promise<readonly Row[]> {
  const stream = of === undefined ? '' : ` and stream = '${of}'`;
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
  ['hold', `key || ' ' || kind || ' ' || saga`],
  ['saga', `key || ' ' || saga`],
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
