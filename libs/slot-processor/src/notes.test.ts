import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { slotOf } from '@millrace/ring';
import type { Offset, Slot } from '@millrace/write';
import type { LoggedRecord } from './model.ts';
import { movingSlots, notesOf, type Note } from './notes.ts';
import { memoryShard } from './testing/memory-shard.ts';
import { counter, logOf, SLOTS, toyModel, toyWrite } from './testing/toy.ts';

type Shard = ReturnType<typeof memoryShard>;
type Moving = ReadonlyMap<Slot, Offset>;

/** Runs a turn and tells what it notes. */
function noted(shard: Shard, records: readonly LoggedRecord[], moving: Moving): readonly Note[] {
  const { dirty, ...folded } = shard.turn(records);
  return notesOf(moving, { stream: toyModel.stream, folded, dirty });
}

/** Every row that the shard holds, by `slot table key`, as text; journal rows from `position` on are left out. */
function rowsByKey(shard: Shard, moving: Moving): ReadonlyMap<string, string> {
  const rows = new Map<string, string>();
  for (const row of shard.rows()) rows.set(name(slotOf(String(row['key']), SLOTS), counter.name, [String(row['key'])]), String(row['total']));
  for (const { entry, reason } of shard.parked) rows.set(name(entry.record.slot, 'parked', ['writes', entry.record.offset.toString()]), reason);
  for (const { slot, offset, outcome } of shard.journal) {
    if (offset < (moving.get(slot as Slot) ?? 0n)) rows.set(name(slot, 'journal', ['writes', offset.toString()]), outcome);
  }
  return rows;
}

const name = (slot: number, table: string, key: readonly string[]): string => [slot, table, ...key].join(' ');

describe('what a turn notes of a slot that moves', () => {
  test('every row that differs after the turn, at the position before it, and of no other slot', () => {
    const cuts = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(fc.array(toyWrite, { maxLength: 50 }), cuts, fc.uniqueArray(fc.nat(SLOTS - 1)), (writes, sizes, moves) => {
        const log = logOf(writes);
        const shard = memoryShard();
        const positions = new Map<Slot, Offset>();
        for (let at = 0, turn = 0; at < log.length; turn++) {
          const records = log.slice(at, (at += sizes[turn % sizes.length] as number));
          const moving: Moving = new Map(moves.map((slot) => [slot as Slot, positions.get(slot as Slot) ?? (0n as Offset)]));
          const before = rowsByKey(shard, moving);
          const notes = noted(shard, records, moving);
          const after = rowsByKey(shard, moving);
          const names = notes.map(({ slot, table, key }) => name(slot, table, key));
          expect(new Set(names).size).toBe(names.length);
          for (const note of notes) {
            expect(note.offset).toBe(moving.get(note.slot));
            if (note.table === 'journal') expect(BigInt(note.key[1] ?? '')).toBeLessThan(note.offset);
          }
          for (const row of new Set([...before.keys(), ...after.keys()])) {
            const moves = moving.has(Number(row.split(' ')[0]) as Slot);
            if (moves && before.get(row) !== after.get(row)) expect(names).toContain(row);
          }
          for (const { slot, offset } of records) positions.set(slot, (offset + 1n) as Offset);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('a release notes the parked rows that it deletes and the journal rows below the position that it writes', () => {
    const shard = memoryShard();
    const log = logOf([
      { key: 'demo/a', type: 'throws', id: '1' },
      { key: 'demo/a', type: 'add', id: '2' },
      { key: 'demo/a', type: 'parked.release', id: 'skip-1' },
    ]);
    const slot = slotOf('demo/a', SLOTS);
    const at = (offset: bigint): Moving => new Map([[slot, offset as Offset]]);
    expect(noted(shard, log.slice(0, 2), at(0n))).toEqual([
      { slot, offset: 0n, table: 'parked', key: ['writes', '0'] },
      { slot, offset: 0n, table: 'parked', key: ['writes', '1'] },
    ]);
    expect(noted(shard, log.slice(2), at(2n))).toEqual([
      { slot, offset: 2n, table: 'counter', key: ['demo/a'] },
      { slot, offset: 2n, table: 'parked', key: ['writes', '0'] },
      { slot, offset: 2n, table: 'parked', key: ['writes', '1'] },
      { slot, offset: 2n, table: 'journal', key: ['writes', '0'] },
      { slot, offset: 2n, table: 'journal', key: ['writes', '1'] },
    ]);
  });

  test('only a slot that is MOVING is noted', () => {
    const row = { moved_to: null, held_ms: null, parked_keys: [] };
    const slots = (['ACTIVE', 'MOVING'] as const).map((state, slot) => ({ ...row, slot: slot as Slot, state }));
    const claim = {
      slots: new Map(slots.map((slot) => [slot.slot, slot])),
      positions: new Map(slots.map(({ slot }) => [slot, { slot, next_offset: 7n as Offset, relayed_offset: 0n as Offset }])),
    };
    expect(movingSlots(claim)).toEqual(new Map([[1, 7n]]));
  });
});
