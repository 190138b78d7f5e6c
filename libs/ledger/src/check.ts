/**
 * The whole verification over what is in memory: a log and a snapshot of every shard. `verifyLedger` does the same
 * slot by slot against servers; this form states what is compared, and is what the planted faults are tried on.
 */
import type { Receipt, ShardId, Slot } from '@millrace/write';
import { groupAcked } from './acked.ts';
import { compareSlot } from './compare.ts';
import { SlotFold, witnessOf } from './fold.ts';
import { knownMoves, type OpenMove } from './moves.ts';
import { holderOf, holds, judgeForeign, judgeHolder, judgeNotes, judgeUnheld, type Side } from './places.ts';
import type { ForeignRows, LogEnds, LogRecord, ShardSnapshot, SlotRows } from './snapshot.ts';
import { createReport, type Report, type Verdict } from './verdict.ts';

export interface LedgerInMemory {
  /** The owner of slot `i` stands at index `i`; their number is S. */
  readonly owners: readonly ShardId[];
  /** In offset order within each slot. */
  readonly log: readonly LogRecord[];
  /** What Kafka keeps; by default from 0 to the last record of each slot. */
  readonly ends?: readonly LogEnds[];
  /** Every shard, owner or not. */
  readonly shards: readonly ShardSnapshot[];
  readonly acked?: Iterable<Receipt>;
  /** Moves that are open; by default none. */
  readonly moves?: readonly OpenMove[];
}

export const NO_ROWS: SlotRows = {
  slotState: null,
  position: null,
  journal: [],
  parked: [],
  accounts: [],
  payments: [],
  orders: [],
  stock: [],
};

/** Compares every slot with its holder, and asks all others for rows that they should not have. */
export function checkLedger({ owners, log, ends, shards, acked, moves: open = [] }: LedgerInMemory): Verdict {
  const report = createReport({ withAcked: acked !== undefined });
  const receipts = groupAcked(acked ?? [], { owners, report });
  const records = Map.groupBy(log, ({ slot }) => slot as number);
  const moves = { ...knownMoves(owners, open), owner: (slot: number) => owners[slot] };
  report.agrees('moving', moves.slots());
  for (const snapshot of shards) checkForeign(snapshot, moves, report);
  for (const [slot, owner] of owners.entries()) {
    const sides = shards.map((snapshot): Side => ({ shard: snapshot.shard, slotState: snapshot.slots.get(slot)?.slotState ?? null }));
    judgeHolder(slot, sides, moves, report);
    const shard = holderOf(sides)?.shard ?? owner;
    const ofSlot = records.get(slot) ?? [];
    const rows = shards.find((snapshot) => snapshot.shard === shard)?.slots.get(slot) ?? NO_ROWS;
    const fold = new SlotFold({
      slots: owners.length,
      ends: ends?.find((end) => end.slot === slot) ?? endsOf(slot as Slot, ofSlot),
      position: rows.position?.nextOffset ?? 0n,
      witness: witnessOf(rows),
      acked: receipts.get(slot),
    });
    for (const record of ofSlot) fold.take(record);
    compareSlot({ shard, fold, rows, report });
  }
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
  const tables: readonly (readonly [table: string, samples: readonly string[]])[] = [
    ['position', rows.position === null || rows.slotState !== null ? [] : [String(rows.position.nextOffset)]],
    ['journal', rows.journal.map(({ offset }) => String(offset))],
    ['parked', rows.parked.map(({ offset }) => String(offset))],
    ['account', rows.accounts.map(({ key }) => key)],
    ['payment', rows.payments.map(({ account, payment }) => `${account} ${payment}`)],
    ['orders', rows.orders.map(({ key }) => key)],
    ['stock', rows.stock.map(({ key }) => key)],
  ];
  return tables.flatMap(([table, [sample, ...more]]) => (sample === undefined ? [] : [{ slot, table, rows: BigInt(more.length + 1), sample }]));
}
