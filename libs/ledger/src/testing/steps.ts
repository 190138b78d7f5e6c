/** Steps for tests: by hand, and drawn by fast-check from a world small enough that everything meets everything. */
import fc from 'fast-check';
import type { Step } from './simulate.ts';

let nextKey = 0;

function step(id: string, type: string, data: Step['data'], rest: Partial<Step> = {}): Step {
  nextKey += 1;
  return { key: `demo/${id}`, type, idempotencyKey: `key-${nextKey}`, data, ...rest };
}

export const open = (account: string, rest?: Partial<Step>): Step => step(account, 'account.open', { account, currency: 'GBP' }, rest);
export const deposit = (account: string, amount: string, rest?: Partial<Step>): Step => step(account, 'account.deposit', { account, amount, currency: 'GBP' }, rest);
export const authorize = (account: string, payment: string, amount: string, rest?: Partial<Step>): Step =>
  step(account, 'payment.authorize', { payment, account, amount, currency: 'GBP' }, rest);
export const capture = (account: string, payment: string, rest?: Partial<Step>): Step => step(account, 'payment.capture', { payment, account }, rest);
export const receive = (sku: string, quantity: number): Step => step(sku, 'stock.receive', { sku, quantity });
export const place = (order: string): Step =>
  step(order, 'order.place', { order, account: 'acc-1', currency: 'GBP', lines: [{ sku: 'sku-1', quantity: 3, unit_price: '2.50' }] });
export const cancel = (order: string): Step => step(order, 'order.cancel', { order });
export const giveBack = (order: string, name: string, quantity: number): Step => step(order, 'order.return', { order, return: name, lines: [{ sku: 'sku-1', quantity }] });
export const transfer = (id: string, amount: string): Step => step(id, 'transfer.place', { transfer: id, from: 'acc-1', to: 'acc-2', amount, currency: 'GBP' });
/** A command of a saga under a client's key: nobody may send it. */
export const forged = (account: string): Step => step(account, 'account.release', { account, saga: 'demo/ord-1/order', attempt: 0 }, { isInvalid: true });
export const invalid = (account: string): Step => step(account, 'account.deposit', { account, amount: '-1.00', currency: 'GBP' }, { isInvalid: true });
export const release = (account: string, action: 'retry' | 'skip'): Step => step(account, 'parked.release', { action });

const account = fc.constantFrom('acc-1', 'acc-2');
const payment = fc.constantFrom('pay-1', 'pay-2');
const order = fc.constantFrom('ord-1', 'ord-2');
const sku = fc.constantFrom('sku-1', 'sku-2');
/** Few, so that sums meet limits exactly. */
const amount = fc.constantFrom('0.01', '1.00', '2.00', '3.00', '5.00', '20.00');
const part = fc.record({ payment, account, amount }, { requiredKeys: ['payment', 'account'] });
const currency = fc.constantFrom('GBP', 'GBP', 'GBP', 'GBP', 'GBP', 'GBP', 'GBP', 'EUR');
const line = fc.record({ sku, quantity: fc.integer({ min: 1, max: 9 }), unit_price: amount });

interface Drawn {
  readonly id: string;
  readonly type: string;
  readonly data: Step['data'];
  readonly isInvalid?: boolean;
}

const drawn: fc.Arbitrary<Drawn> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ account, currency }).map((data) => ({ id: data.account, type: 'account.open', data })) },
  { weight: 6, arbitrary: fc.record({ account, amount, currency }).map((data) => ({ id: data.account, type: 'account.deposit', data })) },
  { weight: 3, arbitrary: fc.record({ payment, account, amount, currency, order }, { requiredKeys: ['payment', 'account', 'amount', 'currency'] }).map((data) => ({ id: data.account, type: 'payment.authorize', data })) },
  { weight: 2, arbitrary: fc.record({ payment, account, amount, currency }).map((data) => ({ id: data.account, type: 'payment.capture', data })) },
  { weight: 5, arbitrary: fc.tuple(part, fc.constantFrom('payment.capture', 'payment.refund')).map(([data, type]) => ({ id: data.account, type, data })) },
  { weight: 2, arbitrary: fc.record({ payment, account }).map((data) => ({ id: data.account, type: 'payment.void', data })) },
  { weight: 2, arbitrary: fc.record({ sku, quantity: fc.integer({ min: 1, max: 50 }) }).map((data) => ({ id: data.sku, type: 'stock.receive', data })) },
  { weight: 2, arbitrary: fc.record({ order, account, currency, lines: fc.array(line, { minLength: 1, maxLength: 3 }), deadline_seconds: fc.integer({ min: 1, max: 604_800 }) }, { requiredKeys: ['order', 'account', 'currency', 'lines'] }).map((data) => ({ id: data.order, type: 'order.place', data })) },
  { weight: 1, arbitrary: order.map((id) => ({ id, type: 'order.cancel', data: { order: id } })) },
  { weight: 1, arbitrary: fc.record({ order, return: fc.constantFrom('ret-1', 'ret-2'), lines: fc.array(fc.record({ sku, quantity: fc.integer({ min: 1, max: 9 }) }), { minLength: 1, maxLength: 3 }) }).map((data) => ({ id: data.order, type: 'order.return', data })) },
  { weight: 1, arbitrary: fc.record({ transfer: fc.constantFrom('tr-1', 'tr-2'), from: fc.constant('acc-1'), to: fc.constant('acc-2'), amount, currency }).map((data) => ({ id: data.transfer, type: 'transfer.place', data })) },
  { weight: 1, arbitrary: account.map((id) => ({ id, type: 'stock.release', data: { sku: id, saga: 'demo/ord-1/order', attempt: 0 }, isInvalid: true })) },
  { weight: 1, arbitrary: account.map((id) => ({ id, type: 'account.deposit', data: { account: id, amount: '1e3', currency: 'GBP' }, isInvalid: true })) },
  { weight: 3, arbitrary: fc.tuple(account, fc.constantFrom('retry', 'skip')).map(([id, action]) => ({ id, type: 'parked.release', data: { action } })) },
);

/** Idempotency keys come from a small pool, so that duplicates and mismatches are common; some steps are poison. */
export const anyStep: fc.Arbitrary<Step> = fc
  .tuple(drawn, fc.integer({ min: 1, max: 200 }), fc.constantFrom(...Array<number>(20).fill(0), 1, 2))
  .map(([{ id, type, data, isInvalid }, key, poison]) => ({
    key: `demo/${id}`,
    type,
    data,
    // A release is an operator's: its keys are its own.
    idempotencyKey: type === 'parked.release' ? `release-${key}` : `key-${key}`,
    ...(isInvalid === undefined ? {} : { isInvalid }),
    ...(poison === 0 || type === 'parked.release' ? {} : { poison }),
  }));

/** A history; now and then a step is said again, as a client does that got no answer. */
export const anySteps: fc.Arbitrary<readonly Step[]> = fc
  .array(fc.tuple(anyStep, fc.integer({ min: 0, max: 5 }), fc.nat()), { minLength: 1, maxLength: 120, size: 'max' })
  .map((list) => list.map(([fresh, chance, pick], index) => (chance === 0 && index > 0 ? (list[pick % index]?.[0] ?? fresh) : fresh)));
