import { describe, expect, test } from '@jest/globals';
import { createBook } from '../testing/book.ts';
import { orderPlace } from './place.ts';
import { orders } from './table.ts';

const line = { sku: '85123A', quantity: 6, unit_price: '2.5' };
const order = { order: 'ord-1', account: 'acc-1', currency: 'GBP', lines: [line, { ...line, unit_price: '0' }] };

describe('orders', () => {
  test('an order is placed once, with its lines as given and their sum', () => {
    const book = createBook();
    expect(book.outcome('order.place', order)).toBe('applied');
    expect(book.row(orders, 'demo/ord-1')).toEqual({
      key: 'demo/ord-1',
      account: 'acc-1',
      currency: 'GBP',
      total: 1500n,
      lines: [
        { ...line, unit_price: '2.50' },
        { ...line, unit_price: '0.00' },
      ],
      state: 'placed',
    });
    expect(book.outcome('order.place', { ...order, currency: 'EUR' })).toBe('order_exists');
  });

  test('a placed order is cancelled once, and stays', () => {
    const book = createBook();
    expect(book.outcome('order.cancel', { order: 'ord-1' })).toBe('unknown_order');
    book.write('order.place', order);
    expect(book.outcome('order.cancel', { order: 'ord-1' })).toBe('applied');
    expect(book.row(orders, 'demo/ord-1')).toMatchObject({ state: 'cancelled', total: 1500n });
    expect(book.outcome('order.cancel', { order: 'ord-1' })).toBe('already_cancelled');
    expect(book.outcome('order.place', order)).toBe('order_exists');
  });

  test('a total reaches the end of the bigint range and not one unit further', () => {
    const huge = { sku: 'a', quantity: 1, unit_price: '9223372036854775806' };
    const yen = (last: string) => ({ ...order, currency: 'JPY', lines: [huge, { ...huge, unit_price: last }] });
    const book = createBook();
    expect(book.outcome('order.place', yen('1'))).toBe('applied');
    expect(book.row(orders, 'demo/ord-1')?.total).toBe(2n ** 63n - 1n);
    const tooMuch = orderPlace.schema.safeParse(yen('2'));
    expect(tooMuch.error?.issues).toMatchObject([{ path: ['lines'], message: expect.stringContaining('total') }]);
  });

  test('each wrong price is told by its line', () => {
    const lines = [line, { ...line, unit_price: '2.555' }, line, { ...line, unit_price: '9999999999999999999' }];
    const wrong = orderPlace.schema.safeParse({ ...order, lines });
    expect(wrong.error?.issues.map((issue) => issue.path)).toEqual([
      ['lines', 1, 'unit_price'],
      ['lines', 3, 'unit_price'],
    ]);
  });

  test('an order has 1 to 1,000 lines of 1 to 1,000,000 units', () => {
    const accepts = (lines: readonly object[]) => orderPlace.schema.safeParse({ ...order, lines }).success;
    expect(accepts([])).toBe(false);
    expect(accepts(Array.from({ length: 1_000 }, () => line))).toBe(true);
    expect(accepts(Array.from({ length: 1_001 }, () => line))).toBe(false);
    expect(accepts([{ ...line, quantity: 1_000_000 }])).toBe(true);
    for (const quantity of [0, -1, 1.5, 1_000_001, '6', null]) expect(accepts([{ ...line, quantity }])).toBe(false);
  });
});
