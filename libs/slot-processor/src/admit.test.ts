import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { must, type Offset, type ShardId, type Slot } from '@millrace/write';
import { admit, type Claim } from './admit.ts';
import { continueFrom, type Gap } from './continuity.ts';
import { GAP_SIGHTINGS_MIN } from './limits.ts';
import type { LoggedRecord } from './model.ts';
import { countRecords, halve, probeOf, sliceOf } from './slices.ts';
import { logOf } from './testing/toy.ts';


const offset = (value: number | bigint): Offset => BigInt(value) as Offset;

/** One slot's log of `count` records. */
function oneSlot(count: number): { slot: Slot; records: readonly LoggedRecord[] } {
  const records = logOf(Array.from({ length: count }, (_, i) => ({ key: 'demo/a', type: 'add', id: `k${i}` })));
  return { slot: must(records[0], 'a record').slot, records };
}

function claimOf(slot: Slot, next: number, state: 'ACTIVE' | 'MOVING' | 'MOVED' | 'INCOMING' | 'ABORTED' = 'ACTIVE', heldMs: number | null = null): Claim {
  return {
    positions: new Map([[slot, { slot, next_offset: offset(next), relayed_offset: offset(0) }]]),
    slots: new Map([[slot, { slot, state, moved_to: state === 'MOVED' ? ('b' as ShardId) : null, held_ms: heldMs, parked_keys: [] }]]),
  };
}

describe('what a turn admits', () => {
  test('W1 exactly the records from the position on, whatever slices bring them', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), fc.nat(30), fc.nat(30), (count, start, position) => {
        const { slot, records } = oneSlot(count);
        const from = Math.min(start, count - 1);
        const slice = sliceOf({ slot, from: offset(from), to: offset(count) }, records.slice(from));
        const { results, records: admitted } = admit([slice], claimOf(slot, position));
        if (from > position) {
          expect(results).toEqual([{ kind: 'gap', slot, position: offset(position), relayed: 0n }]);
          expect(admitted).toEqual([]);
        } else {
          expect(admitted).toEqual(records.slice(position));
          expect(results).toMatchObject([{ kind: 'applied', before: offset(position), next: offset(Math.max(count, position)) }]);
        }
      }),
    );
  });

  test.each(['MOVED', 'INCOMING', 'ABORTED'] as const)('W2 a slot that is %s applies nothing', (state) => {
    const { slot, records } = oneSlot(3);
    const { results, records: admitted } = admit([sliceOf({ slot, from: offset(0), to: offset(3) }, records)], claimOf(slot, 0, state));
    expect(admitted).toEqual([]);
    expect(results).toMatchObject([{ kind: 'elsewhere', movedTo: state === 'MOVED' ? 'b' : undefined }]);
  });

  test('W2 a slot that is MOVING applies as an ACTIVE one does', () => {
    const { slot, records } = oneSlot(3);
    const slices = [sliceOf({ slot, from: offset(0), to: offset(3) }, records)];
    expect(admit(slices, claimOf(slot, 1, 'MOVING'))).toEqual(admit(slices, claimOf(slot, 1, 'ACTIVE')));
    expect(admit(slices, claimOf(slot, 1, 'MOVING')).records).toEqual(records.slice(1));
  });

  test.each(['ACTIVE', 'MOVING'] as const)('a slot that is %s but held applies nothing, whatever slices bring, and tells for how long', (state) => {
    const { slot, records } = oneSlot(4);
    const slices = [0, 2].map((from) => sliceOf({ slot, from: offset(from), to: offset(from + 2) }, records.slice(from, from + 2)));
    expect(admit([...slices, probeOf(slot)], claimOf(slot, 0, state, 40))).toEqual({ results: [{ kind: 'held', slot, forMs: 40 }], records: [] });
  });

  test('W2 a slot that left is elsewhere, also while it is held', () => {
    const { slot, records } = oneSlot(1);
    const { results } = admit([sliceOf({ slot, from: offset(0), to: offset(1) }, records)], claimOf(slot, 0, 'MOVED', 40));
    expect(results).toEqual([{ kind: 'elsewhere', slot, movedTo: 'b' }]);
  });

  test('W2 a slot that the shard has never had applies nothing', () => {
    const { slot, records } = oneSlot(1);
    const { results } = admit([sliceOf({ slot, from: offset(0), to: offset(1) }, records)], { positions: new Map(), slots: new Map() });
    expect(results).toMatchObject([{ kind: 'elsewhere' }]);
  });

  test('a probe always learns the position', () => {
    const { slot } = oneSlot(1);
    expect(admit([probeOf(slot)], claimOf(slot, 7)).results).toMatchObject([{ kind: 'gap', position: 7n }]);
  });
});

describe('halving', () => {
  test('keeps every record once, in order within its slot, and makes both halves smaller', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 }), (sizes) => {
        const { slot, records } = oneSlot(sizes.reduce((a, b) => a + b, 0));
        let at = 0;
        const slices = sizes.map((size) => {
          const slice = sliceOf({ slot, from: offset(at), to: offset(at + size) }, records.slice(at, at + size));
          at += size;
          return slice;
        });
        if (countRecords(slices) < 2) return;
        const [first, second] = halve(slices);
        expect([...first, ...second].flatMap((slice) => slice.records)).toEqual(records);
        expect(countRecords(first)).toBe(Math.floor(records.length / 2));
        let expected = 0n;
        for (const slice of [...first, ...second]) {
          expect(slice.from).toBe(expected);
          expected = slice.to;
        }
      }),
    );
  });
});

describe('continuity', () => {
  const records = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => ({ offset: offset(from + i) }));

  test('W4 takes only what continues the position: older records are skipped, a later start is a gap', () => {
    expect(continueFrom(offset(5), records(0, 5))).toEqual({ kind: 'skip' });
    expect(continueFrom(offset(5), records(3, 8))).toEqual({ kind: 'take', from: 5n, to: 8n, records: records(5, 8) });
    expect(continueFrom(offset(5), records(6, 8))).toMatchObject({ kind: 'gap', gap: { expected: 5n, first: 6n, sightings: 1 } });
  });

  test('a hole is believed only when it is seen again and again after seeking back', () => {
    let gap: Gap | undefined;
    for (let sighting = 1; sighting < GAP_SIGHTINGS_MIN; sighting++) {
      const next = continueFrom(offset(5), records(6, 8), gap);
      expect(next.kind).toBe('gap');
      gap = next.kind === 'gap' ? next.gap : undefined;
    }
    expect(continueFrom(offset(5), records(6, 8), gap)).toEqual({ kind: 'take', from: 5n, to: 8n, records: records(6, 8) });
    expect(continueFrom(offset(5), records(7, 8), gap).kind).toBe('gap');
  });
});
