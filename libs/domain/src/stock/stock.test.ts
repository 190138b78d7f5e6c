import { describe, expect, test } from '@jest/globals';
import { createBook } from '../testing/book.ts';
import { stockReceive } from './receive.ts';
import { stock } from './table.ts';

describe('stock', () => {
  test('receipts add up, and the first creates the stock', () => {
    const book = createBook();
    expect(book.outcome('stock.receive', { sku: '85123A', quantity: 5 })).toBe('applied');
    expect(book.outcome('stock.receive', { sku: '85123A', quantity: 1_000_000_000 })).toBe('applied');
    expect(book.row(stock, 'demo/85123A')).toEqual({ key: 'demo/85123A', on_hand: 1_000_000_005n, reserved: 0n, incoming: 0n });
  });

  test('a receipt that passes the range of a bigint, with what is reserved and what is to come, is refused', () => {
    const at = { key: 'demo/a', tenant: 'demo', atMs: 0 } as Parameters<typeof stockReceive.apply>[1];
    const full = { key: 'demo/a', on_hand: 2n ** 63n - 1n - 10n, reserved: 3n, incoming: 2n };
    const receive = (quantity: number) =>
      stockReceive.apply({ get: <R>() => full as R }, at, stockReceive.schema.parse({ sku: 'a', quantity }));
    expect(receive(5).outcome).toBe('applied');
    expect(receive(6)).toEqual({ outcome: 'refused', code: 'stock_overflow' });
  });

  test('a receipt is of 1 to 1,000,000,000 whole units', () => {
    for (const quantity of [0, -1, 1.5, 1_000_000_001, '1', null, Number.NaN, Infinity]) {
      expect(stockReceive.schema.safeParse({ sku: 'a', quantity }).success).toBe(false);
    }
  });
});
