import { describe, expect, test } from '@jest/globals';
import { followUpKey } from '../saga/messages.ts';
import { createBook } from '../testing/book.ts';
import { transferPlace } from './place.ts';

const transfer = { transfer: 'tr-1', from: 'acc-1', to: 'acc-2', amount: '5', currency: 'GBP' };

function issues(data: object) {
  return transferPlace.schema.safeParse({ ...transfer, ...data }).error?.issues;
}

describe('a transfer', () => {
  test('starts its saga, and changes no row itself', () => {
    const data = { from: 'acc-1', to: 'acc-2', amount: '5.00', currency: 'GBP', deadline_seconds: 900 };
    const book = createBook();
    expect(book.write('transfer.place', transfer)).toEqual({
      outcome: 'applied',
      changes: [],
      messages: [{ stream: 'sagas', key: 'demo/tr-1', type: 'transfer.start', idempotencyKey: followUpKey(0n), data }],
    });
    expect(book.write('transfer.place', { ...transfer, deadline_seconds: 60 }).messages?.[0]?.data).toEqual({ ...data, deadline_seconds: 60 });
    expect(book.rows.size).toBe(0);
  });

  test('is between two accounts', () => {
    expect(issues({ to: 'acc-1' })).toMatchObject([{ path: ['to'], message: 'must be another account than `from`' }]);
  });

  test.each([
    ['0', 'GBP'],
    ['0.00', 'GBP'],
    ['-1', 'GBP'],
    ['1.001', 'GBP'],
    ['1.0', 'JPY'],
    ['92233720368547758.08', 'GBP'],
    ['9'.repeat(400), 'GBP'],
    ['1e3', 'GBP'],
  ])('of %s %s is told wrong by its amount', (amount, currency) => {
    expect(issues({ amount, currency })).toMatchObject([{ path: ['amount'] }]);
  });

  test('reaches the end of the bigint range', () => {
    expect(issues({ amount: '92233720368547758.07' })).toBeUndefined();
  });

  test('has a deadline of 1 second to 7 days', () => {
    for (const seconds of [1, 604_800]) expect(issues({ deadline_seconds: seconds })).toBeUndefined();
    for (const seconds of [0, -1, 1.5, 604_801, '60', null]) expect(issues({ deadline_seconds: seconds })).toMatchObject([{ path: ['deadline_seconds'] }]);
  });
});
