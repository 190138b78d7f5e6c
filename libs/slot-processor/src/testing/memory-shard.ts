/** A shard in memory for tests: what a turn loads and stores, as the SQL does it. */
import type { Row } from '@millrace/domain';
import { must } from '@millrace/write';
import { foldTurn, parkedName, type Folded, type ParkedEntry, type Seen, type TurnState } from '../fold.ts';
import type { LoggedRecord } from '../model.ts';
import { readRecord } from '../read.ts';
import { createWorkingSet, type WorkingSet } from '../working-set.ts';
import { rowsOf, SLOTS, toyModel } from './toy.ts';

export function memoryShard() {
  const rows = new Map<string, Row>();
  const journal: { slot: number; offset: bigint; outcome: string; type: string; detail: unknown }[] = [];
  const seen = new Map<string, Seen>();
  const parked: ParkedEntry[] = [];

  function turn(records: readonly LoggedRecord[]): Folded & { readonly dirty: ReturnType<WorkingSet['dirty']> } {
    const entries = records.map((record) => readRecord(toyModel, SLOTS, record));
    const working = createWorkingSet();
    for (const entry of [...entries, ...parked.map((p) => p.entry)]) {
      if (entry.kind === 'command') for (const ref of entry.command.reads) working.want(entry.record.slot, ref);
    }
    for (const { table, keys } of working.wanted()) {
      for (const { key } of keys) {
        const row = rows.get(must(key[0], 'key'));
        if (row) working.loaded(table, row);
      }
    }
    const waiting = Map.groupBy(parked, ({ entry }) => parkedName(entry.record));
    const state: TurnState = { rows: working, seen: new Map(seen), parked: new Map(waiting) };
    const folded = foldTurn(entries, state);
    for (const [name, value] of state.seen) seen.set(name, value);
    for (const row of folded.journal) journal.push({ slot: row.record.slot, offset: row.record.offset, outcome: row.outcome, type: row.type, detail: row.detail });
    for (const { added, changed } of working.dirty()) for (const { row } of [...added, ...changed]) rows.set(String(row['key']), row);
    for (const row of folded.parked) parked.push({ entry: readRecord(toyModel, SLOTS, row.record), reason: row.reason });
    for (const record of folded.released) parked.splice(parked.findIndex(({ entry }) => entry.record.slot === record.slot && entry.record.offset === record.offset), 1);
    return { ...folded, dirty: working.dirty() };
  }
  return { turn, rows: () => rowsOf(rows), journal, parked };
}
