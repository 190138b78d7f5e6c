import { describe, expect, test } from '@jest/globals';
import { followUpKey } from '../saga/messages.ts';
import { createBook } from '../testing/book.ts';
import { orders } from './table.ts';

const line = { sku: 'a', quantity: 1, unit_price: '1' };

describe('a cancel', () => {
  test('of an order that was never placed is refused, and sends nothing', () => {
    expect(createBook().write('order.cancel', { order: 'ord-1' })).toEqual({ outcome: 'refused', code: 'unknown_order' });
  });

  test('goes on to the saga of its order, as often as it comes; the order stays as placed', () => {
    const book = createBook();
    book.write('order.place', { order: 'ord-1', account: 'acc-1', currency: 'GBP', lines: [line] });
    const placed = book.row(orders, 'demo/ord-1');
    for (const offset of [1n, 2n]) {
      expect(book.write('order.cancel', { order: 'ord-1' })).toEqual({
        outcome: 'applied',
        changes: [],
        messages: [{ stream: 'sagas', key: 'demo/ord-1', type: 'saga.cancel', idempotencyKey: followUpKey(offset), data: { saga: 'order', by: 'client' } }],
      });
    }
    expect(book.row(orders, 'demo/ord-1')).toBe(placed);
  });
});
