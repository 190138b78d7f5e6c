/** Random writes that meet on few ids: what must hold of the rows whatever comes, and in whatever order. */
import { describe, expect, test } from '@jest/globals';
import { must, parseAmount } from '@millrace/write';
import fc from 'fast-check';
import { account, payment, REFUSALS, type AccountRow, type PaymentRow } from './index.ts';
import { createBook, type Book } from './testing/book.ts';

interface Write {
  readonly type: string;
  readonly data: { readonly account?: string; readonly amount?: string; readonly currency?: string };
}

const id = fc.constantFrom('a', 'b');
const amount = fc.oneof(
  { weight: 9, arbitrary: fc.integer({ min: 1, max: 40 }).map((units) => `${units}.5`) },
  { weight: 1, arbitrary: fc.constantFrom('46116860184273879.03', '92233720368547758.07') },
);
const deposit = fc.oneof(amount, fc.integer({ min: 100, max: 400 }).map(String));
const currency = fc.oneof({ weight: 15, arbitrary: fc.constant('GBP') }, { weight: 1, arbitrary: fc.constant('EUR') });
const pay = { payment: fc.constantFrom('p', 'q', 'r'), account: id };
const some = { requiredKeys: ['payment', 'account'] as ['payment', 'account'] };
const line = fc.record({ sku: id, quantity: fc.integer({ min: 1, max: 9 }), unit_price: fc.constantFrom('0', '1.5', '20') });
const lines = fc.array(line, { minLength: 1, maxLength: 3 });

const write: fc.Arbitrary<Write> = fc.oneof(
  { weight: 2, arbitrary: writeOf('account.open', fc.record({ account: id, currency })) },
  { weight: 3, arbitrary: writeOf('account.deposit', fc.record({ account: id, amount: deposit, currency })) },
  { weight: 3, arbitrary: writeOf('payment.authorize', fc.record({ ...pay, amount, currency })) },
  writeOf('payment.capture', fc.record({ ...pay, amount, currency })),
  { weight: 3, arbitrary: writeOf('payment.capture', fc.record({ ...pay, amount }, some)) },
  writeOf('payment.void', fc.record(pay)),
  { weight: 3, arbitrary: writeOf('payment.refund', fc.record({ ...pay, amount }, some)) },
  writeOf('stock.receive', fc.record({ sku: id, quantity: fc.integer({ min: 1, max: 1_000_000_000 }) })),
  writeOf('order.place', fc.record({ order: id, account: id, currency: fc.constant('GBP'), lines })),
  writeOf('order.cancel', fc.record({ order: id })),
  writeOf('order.return', fc.record({ order: id, lines: fc.array(fc.record({ sku: id, quantity: fc.integer({ min: 1, max: 9 }) }), { minLength: 1, maxLength: 2 }) })),
  writeOf('transfer.place', fc.record({ transfer: id, from: fc.constant('a'), to: fc.constant('b'), amount: fc.constant('1'), currency })),
);
const writes = fc.array(write, { maxLength: 80, size: 'max' });

describe('whatever is written', () => {
  test('a refusal has a known code, and changes and sends nothing; an applied write changes or sends something', () => {
    fc.assert(
      fc.property(writes, (all) => {
        const book = createBook();
        for (const { type, data } of all) {
          const before = new Map(book.rows);
          const decision = book.write(type, data);
          if (decision.outcome === 'refused') expect(REFUSALS).toHaveProperty(decision.code);
          const isIdle = sameRows(before, book.rows) && decision.messages === undefined;
          expect(isIdle).toBe(decision.outcome === 'refused');
        }
      }),
    );
  });

  test('balance and held are what was deposited, less what was captured, plus what was refunded', () => {
    fc.assert(
      fc.property(writes, (all) => {
        const book = createBook();
        const deposited = new Map<string, bigint>();
        for (const { type, data } of all) {
          const { outcome } = book.write(type, data);
          if (type !== 'account.deposit' || outcome === 'refused') continue;
          const key = `demo/${data.account}`;
          const units = must(parseAmount(data.amount ?? '', data.currency ?? ''), 'a deposit that applied has an amount');
          deposited.set(key, (deposited.get(key) ?? 0n) + units);
        }
        for (const row of accountsOf(book)) {
          const payments = paymentsOf(book, row.key);
          const captured = sum(payments.map((each) => each.captured - each.refunded));
          expect(row.balance + row.held).toBe((deposited.get(row.key) ?? 0n) - captured);
          expect(row.held).toBe(sum(payments.map((each) => each.authorized - each.captured - each.released)));
        }
      }),
    );
  });

  test('balances fit a bigint with what they hold, captured + released <= authorized, refunded <= captured', () => {
    fc.assert(
      fc.property(writes, (all) => {
        const book = createBook();
        for (const { type, data } of all) {
          book.write(type, data);
          for (const row of accountsOf(book)) {
            expect(row.balance >= 0n && row.held >= 0n && row.balance + row.held < 2n ** 63n).toBe(true);
            for (const each of paymentsOf(book, row.key)) {
              expect(each.refunded >= 0n && each.refunded <= each.captured).toBe(true);
              expect(each.released >= 0n && each.captured + each.released <= each.authorized).toBe(true);
            }
          }
        }
      }),
    );
  });

  test('the same writes give the same outcomes and rows', () => {
    fc.assert(
      fc.property(writes, (all) => {
        const [one, other] = [createBook(), createBook()];
        for (const { type, data } of all) expect(one.write(type, data)).toEqual(other.write(type, structuredClone(data)));
        expect(one.rows).toEqual(other.rows);
      }),
    );
  });

  test('keys do not know of each other: the writes of one account give its rows without the others', () => {
    fc.assert(
      fc.property(writes, (all) => {
        const [together, alone] = [createBook(), createBook()];
        for (const { type, data } of all) {
          together.write(type, data);
          if (data.account === 'a' && type !== 'order.place') alone.write(type, data);
        }
        expect(alone.row(account, 'demo/a')).toEqual(together.row(account, 'demo/a'));
        expect(paymentsOf(alone, 'demo/a')).toEqual(paymentsOf(together, 'demo/a'));
      }),
    );
  });
});

function writeOf(type: string, data: fc.Arbitrary<object>): fc.Arbitrary<Write> {
  return data.map((fields) => ({ type, data: fields }));
}

function accountsOf(book: Book): readonly AccountRow[] {
  return ['demo/a', 'demo/b'].flatMap((key) => book.row(account, key) ?? []);
}

function paymentsOf(book: Book, key: string): readonly PaymentRow[] {
  return ['p', 'q', 'r'].flatMap((id) => book.row(payment, key, id) ?? []);
}

/** Rows are frozen: one that is the same object is unchanged. */
function sameRows(before: ReadonlyMap<string, unknown>, after: ReadonlyMap<string, unknown>): boolean {
  return before.size === after.size && [...after].every(([name, row]) => before.get(name) === row);
}

function sum(amounts: readonly bigint[]): bigint {
  return amounts.reduce((total, each) => total + each, 0n);
}
