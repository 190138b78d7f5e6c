import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { must } from '@millrace/write';
import { seenName, TurnTooLarge } from './fold.ts';
import { TURN_MESSAGES_MAX } from './limits.ts';
import { readRecord } from './read.ts';
import { memoryShard } from './testing/memory-shard.ts';
import { logOf, SLOTS, toyModel, toyWrite } from './testing/toy.ts';

describe('the fold', () => {
  test('W1 folding a batch is folding its records one by one, wherever the batch is cut', () => {
    fc.assert(
      fc.property(fc.array(toyWrite, { maxLength: 60 }), fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 20 }), (writes, sizes) => {
        const log = logOf(writes);
        const single = memoryShard();
        for (const record of log) single.turn([record]);
        const batched = memoryShard();
        for (let at = 0, turn = 0; at < log.length; turn++) {
          const size = must(sizes[turn % sizes.length], 'a size');
          batched.turn(log.slice(at, at + size));
          at += size;
        }
        expect(batched.rows()).toEqual(single.rows());
        expect(batched.journal).toEqual(single.journal);
        expect(batched.parked.map((p) => p.entry.record)).toEqual(single.parked.map((p) => p.entry.record));
      }),
      { numRuns: 500 },
    );
  });

  test('W6 a write that comes again in the same turn or a later one is applied once', () => {
    const shard = memoryShard();
    const [one, two, three] = logOf([1, 2, 3].map(() => ({ key: 'demo/a', type: 'add', id: 'same' })));
    expect(shard.turn([must(one, '1'), must(two, '2')]).duplicates).toBe(1);
    expect(shard.turn([must(three, '3')]).duplicates).toBe(1);
    expect(shard.rows()).toEqual([{ key: 'demo/a', total: 1n }]);
    expect(shard.journal).toHaveLength(1);
  });

  test('W6 the same idempotency key with another body is refused and names the first write', () => {
    const shard = memoryShard();
    shard.turn(logOf([{ key: 'demo/a', type: 'add', id: 'x', by: 1 }, { key: 'demo/a', type: 'add', id: 'x', by: 2 }]));
    expect(shard.rows()).toEqual([{ key: 'demo/a', total: 1n }]);
    expect(shard.journal[1]).toMatchObject({ outcome: 'refused', detail: { code: 'idempotency_mismatch', first: '0' } });
  });

  test('W8 a poisoned record parks its key and those behind it, and no other key', () => {
    const shard = memoryShard();
    shard.turn(logOf([{ key: 'demo/a', type: 'bad', id: '1' }, { key: 'demo/a', type: 'add', id: '2' }, { key: 'demo/b', type: 'add', id: '3' }]));
    expect(shard.rows()).toEqual([{ key: 'demo/b', total: 1n }]);
    expect(shard.parked.map(({ reason }) => reason)).toEqual(['bad data', 'behind 0']);
  });

  test('a release with skip refuses the head and applies the others in order, at the place of the release', () => {
    const shard = memoryShard();
    const log = logOf([
      { key: 'demo/a', type: 'throws', id: '1' },
      { key: 'demo/a', type: 'add', id: '2', by: 5 },
      { key: 'demo/a', type: 'add', id: '3', by: -4 },
      { key: 'demo/a', type: 'parked.release', id: 'skip-1' },
    ]);
    for (const record of log) shard.turn([record]);
    expect(shard.parked).toEqual([]);
    expect(shard.rows()).toEqual([{ key: 'demo/a', total: 1n }]);
    expect(shard.journal.map(({ offset, outcome }) => [offset, outcome])).toEqual([[0n, 'refused'], [1n, 'applied'], [2n, 'applied'], [3n, 'applied']]);
    expect(shard.journal[0]?.detail).toEqual({ code: 'skipped_by_operator', released_by: '3' });
  });

  test('what sends too much is not one turn, and stops at the record that passes the budget; one record alone always is', () => {
    const shard = memoryShard();
    const third = Math.ceil(TURN_MESSAGES_MAX / 3);
    const send = (id: string, by: number) => ({ key: 'demo/a', type: 'send', id, by });
    expect(() => shard.turn(logOf([send('1', third), send('2', third), send('3', third), send('4', third)]))).toThrow(TurnTooLarge);
    expect([shard.rows(), shard.journal]).toEqual([[], []]);
    expect(shard.turn(logOf([send('1', third), send('2', third)])).messages).toBe(2 * third);
    expect(memoryShard().turn(logOf([send('1', 2 * TURN_MESSAGES_MAX)])).messages).toBe(2 * TURN_MESSAGES_MAX);
    expect(() => memoryShard().turn(logOf([send('1', 2 * TURN_MESSAGES_MAX), { key: 'demo/b', type: 'add', id: '2' }]))).toThrow(TurnTooLarge);
  });

  test('a release lets go no more than a turn may send, and keeps the rest parked for the next, wherever it is in its turn', () => {
    const half = Math.ceil(TURN_MESSAGES_MAX / 2);
    const log = logOf([
      { key: 'demo/a', type: 'throws', id: '1' },
      ...['2', '3', '4'].map((id) => ({ key: 'demo/a', type: 'send', id, by: half })),
      { key: 'demo/a', type: 'parked.release', id: 'skip-1' },
    ]);
    const shard = memoryShard();
    for (const record of log) shard.turn([record]);
    expect(shard.journal.at(-1)?.detail).toEqual({ action: 'skip', released: '3', parked: '1' });
    expect(shard.parked.map(({ entry }) => entry.record.offset)).toEqual([3n]);
  });

  test('a release of a key that is not parked is refused, and the same release twice is one', () => {
    const shard = memoryShard();
    const folded = shard.turn(logOf([{ key: 'demo/a', type: 'parked.release', id: '1' }, { key: 'demo/a', type: 'parked.release', id: '1' }]));
    expect(shard.journal).toMatchObject([{ outcome: 'refused', detail: { code: 'not_parked' } }]);
    expect(folded.duplicates).toBe(1);
  });

  test('a key that belongs to another slot is poison: its rows would lie on the wrong shard', () => {
    const record = must(logOf([{ key: 'demo/a', type: 'add', id: '1' }])[0], 'one');
    const elsewhere = { ...record, slot: ((record.slot + 1) % SLOTS) as typeof record.slot };
    expect(readRecord(toyModel, SLOTS, elsewhere)).toMatchObject({ kind: 'poison' });
    expect(readRecord(toyModel, SLOTS, record)).toMatchObject({ kind: 'command' });
  });

  test('the digest and not the key alone names a write', () => {
    const [a, b] = logOf([{ key: 'demo/a', type: 'add', id: '1' }, { key: 'demo/b', type: 'add', id: '1' }]).map((record) => readRecord(toyModel, SLOTS, record));
    expect(a?.kind === 'command' && seenName(a.record.slot, a.digest)).not.toBe(b?.kind === 'command' && seenName(b.record.slot, b.digest));
  });
});
