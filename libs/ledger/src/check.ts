/**
 * The whole verification over what is in memory: a log and a snapshot of every shard. `verifyLedger` does the same
 * slot by slot against servers; this form states what is compared, and is what the planted faults are tried on.
 */
import type { Receipt, ShardId, Slot, Stream } from '@millrace/write';
import { groupAcked } from './acked.ts';
import { compareSlot } from './compare.ts';
import { createAcross } from './across.ts';
import { holdName } from './holds.ts';
import { knownMoves, type OpenMove } from './moves.ts';
import { holderOf, holds, judgeForeign, judgeHolder, judgeNotes, judgeUnheld, type Side } from './places.ts';
import { sagaName } from './saga-model.ts';
import { openSlot, witnessesOf } from './slot-ledger.ts';
import type { ForeignRows, LogEnds, LogRecord, ShardSnapshot, SlotRows, StreamRows } from './snapshot.ts';
import { createReport, type Report, type Verdict } from './verdict.ts';

export interface LedgerInMemory {
  /** The owner of slot `i` stands at index `i`; their number is S. */
  readonly owners: readonly ShardId[];
  /** Of stream `writes`, in offset order within each slot. */
  readonly log: readonly LogRecord[];
  /** Of stream `sagas`. */
  readonly sagaLog?: readonly LogRecord[];
  /** What Kafka keeps of stream `writes`; by default from 0 to the last record of each slot. */
  readonly ends?: readonly LogEnds[];
  /** Every shard, owner or not. */
  readonly shards: readonly ShardSnapshot[];
  readonly acked?: Iterable<Receipt>;
  /** Moves that are open; by default none. */
  readonly moves?: readonly OpenMove[];
  /** Makes a saga that is open a difference. */
  readonly requireEnded?: boolean;
}

const NO_STREAM_ROWS: StreamRows = { position: null, journal: [], parked: [] };

export const NO_ROWS: SlotRows = {
  slotState: null,
  streams: { writes: NO_STREAM_ROWS, sagas: NO_STREAM_ROWS },
  accounts: [],
  payments: [],
  orders: [],
  stock: [],
  holds: [],
  sagas: [],
};

/** Compares every slot with its holder, and asks all others for rows that they should not have. */
export function checkLedger({ owners, log, sagaLog = [], ends, shards, acked, moves: open = [], requireEnded = false }: LedgerInMemory): Verdict {
  const report = createReport({ withAcked: acked !== undefined });
  const receipts = groupAcked(acked ?? [], { owners, report });
  const records = { writes: Map.groupBy(log, ({ slot }) => slot as number), sagas: Map.groupBy(sagaLog, ({ slot }) => slot as number) };
  const recordsOf = (stream: Stream, slot: number): readonly LogRecord[] => records[stream].get(slot) ?? [];
  const endOf = (stream: Stream, slot: number): LogEnds =>
    (stream === 'writes' ? ends?.find((end) => end.slot === slot) : undefined) ?? endsOf(slot as Slot, recordsOf(stream, slot));
  const moves = { ...knownMoves(owners, open), owner: (slot: number) => owners[slot] };
  const sidesOf = (slot: number): readonly Side[] => shards.map((snapshot) => ({ shard: snapshot.shard, slotState: snapshot.slots.get(slot)?.slotState ?? null }));
  const holdingShard = (slot: number): ShardId | undefined => holderOf(sidesOf(slot))?.shard ?? owners[slot];
  const rowsAt = (slot: number): SlotRows => shards.find(({ shard }) => shard === holdingShard(slot))?.slots.get(slot) ?? NO_ROWS;
  const positionAt = (stream: Stream, slot: number): bigint => rowsAt(slot).streams[stream].position?.nextOffset ?? 0n;
  const cut = { position: positionAt, relayed: (stream: Stream, slot: number) => rowsAt(slot).streams[stream].position?.relayedOffset ?? 0n, end: (stream: Stream, slot: number) => endOf(stream, slot).high };
  const across = createAcross({ cut, report, owner: holdingShard, requireEnded });
  report.agrees('moving', moves.slots());
  for (const snapshot of shards) checkForeign(snapshot, moves, report);
  for (const [slot, owner] of owners.entries()) {
    judgeHolder(slot, sidesOf(slot), moves, report);
    const rows = rowsAt(slot);
    const ledger = openSlot({
      slots: owners.length,
      ends: { writes: endOf('writes', slot), sagas: endOf('sagas', slot) },
      positions: { writes: positionAt('writes', slot), sagas: positionAt('sagas', slot) },
      witness: witnessesOf(rows.streams),
      acked: receipts.get(slot),
      mail: across.mail,
    });
    for (const stream of ['writes', 'sagas'] as const) for (const record of recordsOf(stream, slot)) ledger.take(stream, record);
    compareSlot({ shard: holdingShard(slot) ?? owner, ledger, rows, report });
    across.add(ledger, rows);
  }
  across.judge();
  return report.verdict();
}

function endsOf(slot: Slot, records: readonly LogRecord[]): LogEnds {
  const last = records.at(-1);
  return { slot, low: 0n, high: last === undefined ? 0n : last.offset + 1n };
}

function checkForeign({ shard, slots, notes = [] }: ShardSnapshot, moves: Parameters<typeof judgeUnheld>[2], report: Report): void {
  for (const [slot, rows] of slots) {
    judgeUnheld(slot, { shard, slotState: rows.slotState }, moves, report);
    if (holds(rows.slotState)) continue;
    for (const foreign of foreignRowsOf(slot, rows)) judgeForeign(shard, foreign, moves, report);
  }
  for (const noted of notes) judgeNotes(shard, noted, moves, report);
}

function foreignRowsOf(slot: number, rows: SlotRows): readonly ForeignRows[] {
  const { writes, sagas } = rows.streams;
  const positions = rows.slotState !== null ? [] : [writes, sagas].flatMap(({ position }) => (position === null ? [] : [String(position.nextOffset)]));
  const tables: readonly (readonly [table: string, samples: readonly string[]])[] = [
    ['position', positions],
    ['journal', [...writes.journal, ...sagas.journal].map(({ offset }) => String(offset))],
    ['parked', [...writes.parked, ...sagas.parked].map(({ offset }) => String(offset))],
    ['account', rows.accounts.map(({ key }) => key)],
    ['payment', rows.payments.map(({ account, payment }) => `${account} ${payment}`)],
    ['orders', rows.orders.map(({ key }) => key)],
    ['stock', rows.stock.map(({ key }) => key)],
    ['hold', rows.holds.map(holdName)],
    ['saga', rows.sagas.map(({ key, saga }) => sagaName(key, saga))],
  ];
  return tables.flatMap(([table, [sample, ...more]]) => (sample === undefined ? [] : [{ slot, table, rows: BigInt(more.length + 1), sample }]));
}
