/** Arbitrary data of every write type, as a client may send it. */
import { formatAmount, ID_PATTERN, MINOR_UNITS_MAX } from '@millrace/write';
import fc from 'fast-check';
import { DEADLINE_SECONDS_MAX } from '../saga/messages.ts';

const id = fc.stringMatching(ID_PATTERN);
const currency = fc.constantFrom('GBP', 'JPY', 'KWD');
const units = fc.oneof(fc.bigInt({ min: 1n, max: 10_000n }), fc.bigInt({ min: 1n, max: MINOR_UNITS_MAX }));

/** An amount in its currency, some with the zeros at the end left out. */
const money = fc.tuple(units, currency, fc.boolean()).map(([amount, code, short]) => {
  const text = formatAmount(amount, code);
  return { amount: short && text.includes('.') ? text.replace(/\.?0+$/, '') : text, currency: code };
});
const part = fc.oneof(fc.constant({}), units.map((amount) => ({ amount: formatAmount(amount, 'GBP') })));
const orderOrNot = fc.oneof(fc.constant({}), fc.record({ order: id }));
const referenceOrNot = fc.oneof(fc.constant({}), fc.record({ reference: fc.string({ unit: 'grapheme', maxLength: 20 }) }));

const payment = fc.record({ payment: id, account: id });
const newPayment = fc.tuple(payment, money, orderOrNot).map(merged);
const partOfPayment = fc.tuple(payment, part).map(merged);
const deadlineOrNot = fc.oneof(fc.constant({}), fc.record({ deadline_seconds: fc.integer({ min: 1, max: DEADLINE_SECONDS_MAX }) }));
const returnOrNot = fc.oneof(fc.constant({}), fc.record({ return: id }));

const line = fc.record({
  sku: id,
  quantity: fc.integer({ min: 1, max: 1_000_000 }),
  unit_price: fc.constantFrom('0', '1', '250', '1999'),
});

export const anyData: { readonly [type: string]: fc.Arbitrary<object> } = {
  'account.open': fc.record({ account: id, currency }),
  'account.deposit': fc.tuple(fc.record({ account: id }), money, referenceOrNot).map(merged),
  'payment.authorize': newPayment,
  'payment.capture': fc.oneof(newPayment, partOfPayment),
  'payment.void': payment,
  'payment.refund': partOfPayment,
  'stock.receive': fc.record({ sku: id, quantity: fc.integer({ min: 1, max: 1_000_000_000 }) }),
  'order.place': fc.tuple(fc.record({ order: id, account: id, currency, lines: fc.array(line, { minLength: 1, maxLength: 5 }) }), deadlineOrNot).map(merged),
  'order.cancel': fc.record({ order: id }),
  'order.return': fc.tuple(fc.record({ order: id, lines: fc.array(fc.record({ sku: id, quantity: fc.integer({ min: 1, max: 1_000_000 }) }), { minLength: 1, maxLength: 5 }) }), returnOrNot).map(merged),
  'transfer.place': fc
    .tuple(fc.record({ transfer: id, from: id, to: id }), money, deadlineOrNot)
    .filter(([{ from, to }]) => from !== to)
    .map(merged),
};

function merged(parts: readonly object[]): object {
  return Object.assign({}, ...parts) as object;
}
