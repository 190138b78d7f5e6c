import { beforeEach, describe, expect, test } from '@jest/globals';
import { account } from '../account/table.ts';
import { createBook, type Book } from '../testing/book.ts';
import { paymentState } from './state.ts';
import { payment } from './table.ts';

const pay = { payment: 'pay-1', account: 'acc-1' };
const tenPounds = { ...pay, amount: '10', currency: 'GBP' };

let book: Book;
beforeEach(() => {
  book = createBook();
  book.write('account.open', { account: 'acc-1', currency: 'GBP' });
  book.write('account.deposit', { account: 'acc-1', amount: '100', currency: 'GBP' });
});

function money(): [balance: bigint | undefined, held: bigint | undefined] {
  const row = book.row(account, 'demo/acc-1');
  return [row?.balance, row?.held];
}

function state(): string | undefined {
  const row = book.row(payment, 'demo/acc-1', 'pay-1');
  return row && paymentState(row);
}

describe('a new payment', () => {
  test('an authorization holds the amount', () => {
    expect(book.outcome('payment.authorize', { ...tenPounds, order: 'ord-1' })).toBe('applied');
    expect(money()).toEqual([9000n, 1000n]);
    expect(book.row(payment, 'demo/acc-1', 'pay-1')).toEqual({
      account: 'demo/acc-1',
      payment: 'pay-1',
      currency: 'GBP',
      authorized: 1000n,
      captured: 0n,
      refunded: 0n,
      released: 0n,
      order_id: 'ord-1',
    });
    expect(state()).toBe('authorized');
  });

  test('a capture with a currency authorizes and captures at once', () => {
    expect(book.outcome('payment.capture', tenPounds)).toBe('applied');
    expect(money()).toEqual([9000n, 0n]);
    expect(book.row(payment, 'demo/acc-1', 'pay-1')).toMatchObject({ authorized: 1000n, captured: 1000n, order_id: null });
    expect(state()).toBe('captured');
  });

  test.each(['payment.authorize', 'payment.capture'])('%s is refused for what the account says', (type) => {
    expect(book.outcome(type, { ...tenPounds, account: 'acc-2' })).toBe('unknown_account');
    expect(book.outcome(type, { ...tenPounds, currency: 'EUR' })).toBe('currency_mismatch');
    expect(book.write(type, { ...tenPounds, amount: '100.01' })).toEqual({
      outcome: 'refused',
      code: 'insufficient_funds',
      detail: { balance: '100.00' },
    });
    expect(book.outcome(type, { ...tenPounds, amount: '100.00' })).toBe('applied');
  });

  test('an id is used once per account, whichever way the payment began', () => {
    book.write('payment.authorize', tenPounds);
    expect(book.outcome('payment.authorize', tenPounds)).toBe('payment_exists');
    expect(book.outcome('payment.capture', tenPounds)).toBe('payment_exists');
    book.write('account.open', { account: 'acc-2', currency: 'GBP' });
    expect(book.outcome('payment.authorize', { ...tenPounds, account: 'acc-2' })).toBe('insufficient_funds');
  });

  test('held money cannot be spent again', () => {
    book.write('payment.authorize', { ...tenPounds, amount: '95' });
    expect(book.outcome('payment.authorize', { ...tenPounds, payment: 'pay-2' })).toBe('insufficient_funds');
  });
});

describe('an authorization', () => {
  beforeEach(() => {
    book.write('payment.authorize', tenPounds);
  });

  test('is captured in parts until nothing remains', () => {
    expect(book.outcome('payment.capture', { ...pay, amount: '4' })).toBe('applied');
    expect(state()).toBe('partially_captured');
    expect(book.write('payment.capture', { ...pay, amount: '6.01' })).toEqual({
      outcome: 'refused',
      code: 'exceeds_authorized',
      detail: { left: '6.00' },
    });
    expect(book.outcome('payment.capture', pay)).toBe('applied');
    expect(money()).toEqual([9000n, 0n]);
    expect(state()).toBe('captured');
    expect(book.outcome('payment.capture', pay)).toBe('already_captured');
    expect(book.outcome('payment.void', pay)).toBe('already_captured');
  });

  test('is voided: all of it comes back, and nothing can be captured after', () => {
    expect(book.outcome('payment.void', pay)).toBe('applied');
    expect(money()).toEqual([10000n, 0n]);
    expect(state()).toBe('voided');
    expect(book.outcome('payment.void', pay)).toBe('already_voided');
    expect(book.outcome('payment.capture', pay)).toBe('payment_voided');
    expect(book.outcome('payment.refund', pay)).toBe('nothing_to_refund');
  });

  test('is voided in its rest: what was captured stays captured and can be refunded', () => {
    book.write('payment.capture', { ...pay, amount: '4' });
    expect(book.outcome('payment.void', pay)).toBe('applied');
    expect(money()).toEqual([9600n, 0n]);
    expect(state()).toBe('captured');
    expect(book.outcome('payment.capture', { ...pay, amount: '1' })).toBe('payment_voided');
    expect(book.outcome('payment.refund', pay)).toBe('applied');
    expect(money()).toEqual([10000n, 0n]);
    expect(state()).toBe('refunded');
  });

  test('is refunded in parts, never more than was captured', () => {
    expect(book.outcome('payment.refund', pay)).toBe('nothing_to_refund');
    book.write('payment.capture', { ...pay, amount: '8' });
    expect(book.outcome('payment.refund', { ...pay, amount: '3' })).toBe('applied');
    expect(state()).toBe('partially_refunded');
    expect(book.write('payment.refund', { ...pay, amount: '5.01' })).toEqual({
      outcome: 'refused',
      code: 'exceeds_captured',
      detail: { left: '5.00' },
    });
    expect(book.outcome('payment.refund', pay)).toBe('applied');
    expect(money()).toEqual([9800n, 200n]);
    expect(book.outcome('payment.refund', pay)).toBe('nothing_to_refund');
    expect(state()).toBe('partially_refunded');
    book.write('payment.void', pay);
    expect(state()).toBe('refunded');
  });

  test.each(['payment.capture', 'payment.void', 'payment.refund'])('%s needs the account and the payment', (type) => {
    expect(book.outcome(type, { ...pay, account: 'acc-2' })).toBe('unknown_account');
    expect(book.outcome(type, { ...pay, payment: 'pay-2' })).toBe('unknown_payment');
  });

  test.each(['payment.capture', 'payment.refund'])("%s refuses a part with more digits than the payment's currency", (type) => {
    book.write('payment.capture', { ...pay, amount: '5' });
    for (const amount of ['1.001', '9999999999999999999']) {
      expect(book.write(type, { ...pay, amount })).toEqual({
        outcome: 'refused',
        code: 'invalid_amount',
        detail: { currency: 'GBP' },
      });
    }
  });
});

describe('a payment in a currency of other digits', () => {
  test.each([
    ['JPY', '100', '40', 40n, '0.5'],
    ['KWD', '100.000', '40.005', 40005n, '0.0001'],
  ])('%s', (currency, whole, part, units, finer) => {
    book.write('account.open', { account: 'acc-2', currency });
    book.write('account.deposit', { account: 'acc-2', amount: whole, currency });
    const other = { payment: 'pay-1', account: 'acc-2' };
    book.write('payment.authorize', { ...other, amount: whole, currency });
    if (currency === 'JPY') expect(book.outcome('payment.capture', { ...other, amount: finer })).toBe('invalid_amount');
    else expect(() => book.write('payment.capture', { ...other, amount: finer })).toThrow();
    expect(book.outcome('payment.capture', { ...other, amount: part })).toBe('applied');
    expect(book.row(payment, 'demo/acc-2', 'pay-1')?.captured).toBe(units);
  });
});
