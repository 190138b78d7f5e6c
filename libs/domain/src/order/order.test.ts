import { describe, expect, test } from '@jest/globals';
import { followUpKey } from '../saga/messages.ts';
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
    });
    expect(book.outcome('order.place', { ...order, currency: 'EUR' })).toBe('order_exists');
  });

  test('a placed order starts its saga: the total, and every sku once with the units of all its lines', () => {
    const book = createBook();
    const lines = [line, { sku: 'b', quantity: 1, unit_price: '0.1' }, { ...line, quantity: 4, unit_price: '1' }];
    book.write('account.open', { account: 'other', currency: 'GBP' });
    const decision = book.write('order.place', { ...order, lines });
    const stock = [{ sku: '85123A', quantity: 10 }, { sku: 'b', quantity: 1 }];
    const data = { account: 'acc-1', currency: 'GBP', total: '19.10', stock, deadline_seconds: 900 };
    expect(decision.messages).toEqual([{ stream: 'sagas', key: 'demo/ord-1', type: 'order.start', idempotencyKey: followUpKey(1n), data }]);
  });

  test('an order that is refused starts nothing', () => {
    const book = createBook();
    book.write('order.place', order);
    expect(book.write('order.place', order)).toEqual({ outcome: 'refused', code: 'order_exists' });
  });

  test('a deadline is 1 second to 7 days, 900 seconds where absent', () => {
    const accepts = (deadline: unknown) => orderPlace.schema.safeParse({ ...order, deadline_seconds: deadline }).success;
    for (const seconds of [1, 900, 604_800, undefined]) expect(accepts(seconds)).toBe(true);
    for (const seconds of [0, -1, 1.5, 604_801, '60', null, Number.NaN, Infinity]) expect(accepts(seconds)).toBe(false);
    const decision = createBook().write('order.place', { ...order, deadline_seconds: 60 });
    expect(decision.messages?.[0]?.data).toMatchObject({ deadline_seconds: 60 });
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
