import { describe, expect, test } from '@jest/globals';

import { duration, sagaId } from './arguments.ts';
import type { Saga, SagaSummary } from './schemas.ts';
import { ageText, listText, sagaText } from './views.ts';

const parked = { reason: 'key_parked', detail: 'demo/sku-1 in stream writes, slot 3, offset 7: not JSON' };
const summary: SagaSummary = {
  id: 'demo/o-1/order',
  kind: 'order',
  state: 'undoing',
  reason: 'deadline_passed',
  detail: { waited_for: 'stock/sku-1' },
  started_at: '2026-01-01T00:00:00.000Z',
  changed_at: '2026-01-01T00:15:00.000Z',
  age_seconds: 1_200,
  attempt: 2,
  slot: 5,
  shard: 'a',
  waits_for: [{ participant: 'stock/sku-1', step: 'release', shard: 'b', because: parked }, { participant: 'stock/sku-2', step: 'release', shard: 'c' }],
  waits_for_more: 3,
};

describe('the list', () => {
  test('tells whom each waits for and why, and shards that are missing', () => {
    expect(listText({ sagas: [summary], next: '1 demo/o-1/order', silent_shards: [{ shard: 'c', reason: 'no answer within 3 s' }] }, { filtered: true }).split('\n')).toEqual([
      '  saga            state                         age  waits for',
      '  demo/o-1/order  undoing (deadline_passed)  20 min  stock/sku-1 (parked), stock/sku-2 and 3 more',
      'There are more: --limit shows them.',
      'Shard c does not answer, its sagas are not listed: no answer within 3 s',
    ]);
  });

  test('does not say that every saga has ended where it was asked for some', () => {
    const nothing = { sagas: [], silent_shards: [] };
    expect(listText(nothing, { filtered: false })).toBe('every saga has ended');
    expect(listText(nothing, { filtered: true })).toBe('no saga fits');
  });
});

test('a saga is shown with its history, its parts and whom it waits for', () => {
  const saga: Saga = {
    ...summary,
    because: parked,
    parts: [
      { participant: 'account/acc', direction: 'out', amount: '5.00', currency: 'GBP', answered: true },
      { participant: 'stock/sku-1', direction: 'out', quantity: 2, answered: false },
    ],
    history: [{ state: 'reserving', at: '2026-01-01T00:00:00.000Z' }],
  };
  const text = sagaText(saga);
  for (const part of ['undoing (deadline_passed, waited_for stock/sku-1)', 'sent again 2 times', 'its own key does not get on', '5.00 GBP out', '2 out', 'waits for stock/sku-1 to release, on shard b: demo/sku-1 in stream writes']) expect(text).toContain(part);
});

test.each([[0, '0 s'], [119, '119 s'], [120, '2 min'], [7_199, '120 min'], [7_200, '2 h'], [172_800, '2 d']])('%d seconds are %s', (seconds, text) => expect(ageText(seconds)).toBe(text));

describe('arguments', () => {
  test.each([['90', 90], ['90s', 90], ['5m', 300], ['2h', 7_200], ['1d', 86_400]])('%s is %d seconds', (text, seconds) => expect(duration(text)).toBe(seconds));
  test.each(['', 's', '-1', '5w', '1.5h', '400d'])('%j is no time', (text) => expect(() => duration(text)).toThrow(/90s, 5m, 2h or 1d/));
  test.each(['demo/o-1/order', 'demo/o-1/return/r7', 'demo/t-1/transfer'])('%s is the id of a saga', (id) => expect(sagaId(id)).toBe(id));
  test.each(['o-1', 'demo/o-1', 'DEMO/o/order', 'demo/o-1/'])('%s is none', (id) => expect(() => sagaId(id)).toThrow(/id of a saga/));
});
