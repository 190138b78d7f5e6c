import { describe, expect, test } from '@jest/globals';
import { createEnds, type Ends } from './ends.ts';
import { createSlotModel } from './model.ts';
import { sagaName, type ModelSaga, type SagaState } from './saga-model.ts';
import type { HoldRow, SlotRows } from './snapshot.ts';
import { NO_ROWS } from './check.ts';

const PARTS: ModelSaga['parts'] = [
  { kind: 'account', id: 'a', direction: 'out', amount: '2.00', currency: 'GBP' },
  { kind: 'stock', id: 's', direction: 'out', amount: '3', currency: null },
];

function saga(state: SagaState, endedAt: bigint | null): ModelSaga {
  const ends = state === 'rejected' ? 'rejected' : null;
  return { kind: 'order', key: 'demo/o', name: 'order', parts: PARTS, claim: [], dueMs: 0, history: [], state, waiting: [], attempt: 0, ends, cause: null, returned: null, endedAt };
}

function hold(kind: 'account' | 'stock', state: HoldRow['state'], units = kind === 'account' ? 200n : 3n): HoldRow {
  return { key: kind === 'account' ? 'demo/a' : 'demo/s', kind, saga: 'demo/o/order', direction: 'out', units, state };
}

/** The saga in one slot, what is held for it in another; the cut lies at offset 5. */
function endsOf(state: SagaState, endedAt: bigint | null, holds: readonly HoldRow[], rows: Partial<SlotRows> = {}): Ends {
  const ends = createEnds({ position: () => 5n, relayed: () => 5n, end: () => 5n });
  const model = createSlotModel();
  ends.add(1, { sagas: new Map(), model, rows: { ...NO_ROWS, ...rows, holds } });
  ends.add(0, { sagas: new Map([[sagaName('demo/o', 'order'), saga(state, endedAt)]]), model, rows: NO_ROWS });
  return ends;
}

const unsettled = (ends: Ends, isStill = false): number => ends.judge(isStill).contradictions.filter(({ is }) => is === 'unsettled').length;

describe('the end of a saga', () => {
  test('confirmed: each participant has confirmed what was asked of it, and no more', () => {
    expect(unsettled(endsOf('confirmed', 4n, [hold('account', 'confirmed'), hold('stock', 'confirmed')]))).toBe(0);
    expect(unsettled(endsOf('confirmed', 4n, [hold('account', 'confirmed')]))).toBe(1);
    expect(unsettled(endsOf('confirmed', 4n, [hold('account', 'confirmed'), hold('stock', 'held')]))).toBe(1);
    expect(unsettled(endsOf('confirmed', 4n, [hold('account', 'confirmed'), hold('stock', 'confirmed', 4n)]))).toBe(1);
    expect(unsettled(endsOf('confirmed', 4n, [hold('account', 'confirmed'), hold('account', 'confirmed')]))).toBe(1);
  });

  test('undone: none holds or has confirmed anything', () => {
    expect(unsettled(endsOf('rejected', 4n, [hold('account', 'released')]))).toBe(0);
    expect(unsettled(endsOf('rejected', 4n, [hold('account', 'held')]))).toBe(1);
    expect(unsettled(endsOf('rejected', 4n, [hold('account', 'confirmed')]))).toBe(1);
  });

  test('an end behind the cut is not judged: a snapshot of a participant may lie before it', () => {
    expect(unsettled(endsOf('confirmed', 5n, [hold('account', 'confirmed'), hold('stock', 'held')]))).toBe(0);
    expect(unsettled(endsOf('rejected', 5n, [hold('account', 'held')]))).toBe(0);
  });

  test('what is open is judged only where nothing moved', () => {
    const confirming = (): Ends => endsOf('confirming', null, [hold('account', 'confirmed')]);
    expect([unsettled(confirming()), unsettled(confirming(), true)]).toEqual([0, 1]);
    expect(unsettled(endsOf('confirming', null, [hold('account', 'confirmed'), hold('stock', 'held')]), true)).toBe(0);
    const reserving = (): Ends => endsOf('reserving', null, [hold('account', 'confirmed')]);
    expect([unsettled(reserving()), unsettled(reserving(), true)]).toEqual([0, 1]);
    expect(endsOf('reserving', null, [hold('account', 'held')]).judge(true)).toMatchObject({ contradictions: [], heldForOpen: 1 });
  });

  test('money and stock are added up once everything has ended and stands still', () => {
    const stock = [{ key: 'demo/s', onHand: 1n, reserved: 0n, incoming: 0n }];
    const found = (ends: Ends, isStill: boolean): readonly string[] => ends.judge(isStill).contradictions.filter(({ is }) => is === 'not_conserved').map(({ key }) => key);
    const rejected = (): Ends => endsOf('rejected', 4n, [], { stock });
    expect(found(rejected(), true)).toEqual(['stock']);
    expect(found(rejected(), false)).toEqual([]);
    expect(found(endsOf('reserving', null, [], { stock }), true)).toEqual([]);
    expect(found(endsOf('confirmed', 4n, [hold('account', 'confirmed'), hold('stock', 'confirmed')]), true)).toEqual(['GBP', 'stock']);
    expect([rejected().judge(true), rejected().judge(false), endsOf('reserving', null, [], { stock }).judge(true)].map(({ areSumsJudged }) => areSumsJudged)).toEqual([true, false, false]);
  });
});
