import { describe, expect, test } from '@jest/globals';
import { createBook } from '../testing/book.ts';
import { account } from './table.ts';

const deposit = (amount: string, currency = 'GBP') => ({ account: 'acc-1', amount, currency });

describe('accounts', () => {
  test('an account opens empty, once', () => {
    const book = createBook();
    expect(book.outcome('account.open', { account: 'acc-1', currency: 'GBP' })).toBe('applied');
    expect(book.row(account, 'demo/acc-1')).toEqual({ key: 'demo/acc-1', currency: 'GBP', balance: 0n, held: 0n, incoming: 0n });
    expect(book.outcome('account.open', { account: 'acc-1', currency: 'EUR' })).toBe('account_exists');
    expect(book.row(account, 'demo/acc-1')?.currency).toBe('GBP');
  });

  test('deposits add up', () => {
    const book = createBook();
    book.write('account.open', { account: 'acc-1', currency: 'GBP' });
    expect(book.outcome('account.deposit', deposit('10'))).toBe('applied');
    expect(book.outcome('account.deposit', { ...deposit('0.05'), reference: 'cash' })).toBe('applied');
    expect(book.row(account, 'demo/acc-1')?.balance).toBe(1005n);
  });

  test('a deposit needs an account of its currency, and the refusal names that currency', () => {
    const book = createBook();
    expect(book.outcome('account.deposit', deposit('10'))).toBe('unknown_account');
    book.write('account.open', { account: 'acc-1', currency: 'JPY' });
    expect(book.write('account.deposit', deposit('10'))).toEqual({
      outcome: 'refused',
      code: 'currency_mismatch',
      detail: { currency: 'JPY' },
    });
  });

  test('an account holds the whole range of a bigint, balance and held together, and no more', () => {
    const book = createBook();
    book.write('account.open', { account: 'acc-1', currency: 'JPY' });
    expect(book.outcome('account.deposit', deposit('9223372036854775807', 'JPY'))).toBe('applied');
    expect(book.outcome('account.deposit', deposit('1', 'JPY'))).toBe('balance_overflow');
    book.write('payment.authorize', { payment: 'pay-1', account: 'acc-1', amount: '5', currency: 'JPY' });
    expect(book.outcome('account.deposit', deposit('1', 'JPY'))).toBe('balance_overflow');
    book.write('payment.capture', { payment: 'pay-1', account: 'acc-1', amount: '2' });
    expect(book.outcome('account.deposit', deposit('2', 'JPY'))).toBe('applied');
    expect(book.outcome('payment.refund', { payment: 'pay-1', account: 'acc-1' })).toBe('balance_overflow');
    expect(book.outcome('payment.void', { payment: 'pay-1', account: 'acc-1' })).toBe('applied');
    expect(book.row(account, 'demo/acc-1')).toMatchObject({ balance: 9223372036854775807n, held: 0n });
  });
});
