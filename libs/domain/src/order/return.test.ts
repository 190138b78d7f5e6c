import { describe, expect, test } from '@jest/globals';
import { followUpKey } from '../saga/messages.ts';
import { createBook } from '../testing/book.ts';
import { orderReturn } from './return.ts';

/** What a record of a stream may have (`libs/wire`). */
const RECORD_BYTES_MAX = 512 * 1024;
const line = { sku: 'a', quantity: 2, unit_price: '1' };
const returned = { order: 'ord-1', return: 'ret-1', lines: [{ sku: 'a', quantity: 1 }] };

function placed() {
  const book = createBook();
  book.write('order.place', { order: 'ord-1', account: 'acc-1', currency: 'GBP', lines: [line, { ...line, unit_price: '2' }] });
  return book;
}

describe('a return', () => {
  test('of an order that was never placed is refused, and sends nothing', () => {
    expect(createBook().write('order.return', returned)).toEqual({ outcome: 'refused', code: 'unknown_order' });
  });

  test('starts its saga with the lines of its order, as they were placed', () => {
    const order = { account: 'acc-1', currency: 'GBP', lines: [{ ...line, unit_price: '1.00' }, { ...line, unit_price: '2.00' }] };
    const data = { return: 'ret-1', lines: returned.lines, order };
    expect(placed().write('order.return', returned)).toEqual({
      outcome: 'applied',
      changes: [],
      detail: { return: 'ret-1' },
      messages: [{ stream: 'sagas', key: 'demo/ord-1', type: 'return.start', idempotencyKey: followUpKey(1n), data }],
    });
  });

  test('cannot take an id of those that are made', () => {
    expect(() => placed().write('order.return', { ...returned, return: 'auto-7' })).toThrow('auto-');
  });

  test('without an id gets one of its own, which its outcome tells', () => {
    const book = placed();
    const { order, lines } = returned;
    for (const id of ['auto-1', 'auto-2']) {
      const decision = book.write('order.return', { order, lines });
      expect(decision).toMatchObject({ detail: { return: id }, messages: [{ data: { return: id } }] });
    }
  });

  test('of the longest order fits a record, and so does the order', () => {
    // Of a quote JSON makes two characters.
    const longest = (index: number) => String(index).padEnd(64, '"');
    const book = createBook();
    const lines = Array.from({ length: 1_000 }, (_, index) => ({ sku: longest(index), quantity: 1_000_000, unit_price: '92233720.07' }));
    const order = { order: longest(0), account: longest(1), currency: 'GBP', lines };
    const start = book.write('order.place', order);
    const returns = { order: longest(0), return: longest(2), lines: lines.map(({ sku, quantity }) => ({ sku, quantity })) };
    for (const { messages } of [start, book.write('order.return', returns)]) expect(JSON.stringify(messages).length).toBeLessThan(RECORD_BYTES_MAX);
  });

  test('has 1 to 1,000 lines of 1 to 1,000,000 units, and no more to say', () => {
    const accepts = (data: object) => orderReturn.schema.safeParse({ ...returned, ...data }).success;
    const some = { sku: 'a', quantity: 1 };
    expect(accepts({ lines: [] })).toBe(false);
    expect(accepts({ lines: Array.from({ length: 1_000 }, () => some) })).toBe(true);
    expect(accepts({ lines: Array.from({ length: 1_001 }, () => some) })).toBe(false);
    expect(accepts({ lines: [{ ...some, quantity: 1_000_000 }] })).toBe(true);
    for (const quantity of [0, -1, 1.5, 1_000_001, '1', null]) expect(accepts({ lines: [{ ...some, quantity }] })).toBe(false);
    expect(accepts({ lines: [{ ...some, unit_price: '1' }] })).toBe(false);
    for (const id of ['', 'a/b', 'x'.repeat(65), 7]) expect(accepts({ return: id })).toBe(false);
  });
});
