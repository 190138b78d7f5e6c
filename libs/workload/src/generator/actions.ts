/** What customers and the warehouse do. Each action fits the book and is applied by the domain. */
import { formatAmount } from '@millrace/write';
import type { OrderLine } from '../write.ts';
import { type Account, type Order, type Payment, enterOrder, enterPayment, leftToCapture, leftToRefund } from './book.ts';
import { type Action, type Draft, type Scene, amountOf, randomAmount, randomPart } from './scene.ts';

const ORDER_LINES = 5;
const LINE_QUANTITY_MAX = 12;
const DELIVERY_MAX = 1_000;

/** The account's first writes. */
export const open: Action = (scene) => {
  const { id, currency } = scene.account;
  return [{ body: { type: 'account.open', data: { account: id, currency } } }, ...deposit(scene)];
};

export const deposit: Action = ({ random, account }) => [fund(account, randomAmount(random, account.currency) * 5n)];

/** Authorize now, capture later. */
export const authorize: Action = (scene) => newPayment(scene, 'payment.authorize');

/** Authorize and capture in one step. */
export const pay: Action = (scene) => newPayment(scene, 'payment.capture');

/** A part of an authorization, or all that remains of it. */
export const capture: Action = ({ random, account }) => {
  const payment = findPayment(account, (each) => leftToCapture(each) > 0n);
  if (!payment) return [];
  const left = leftToCapture(payment);
  const part = left > 1n && random.chance(0.5) ? randomPart(random, left) : undefined;
  payment.captured += part ?? left;
  return [{ body: { type: 'payment.capture', data: ofPayment(account, payment, part) } }];
};

export const voidPayment: Action = ({ account }) => {
  const payment = findPayment(account, (each) => leftToCapture(each) > 0n);
  if (!payment) return [];
  const left = leftToCapture(payment);
  payment.released += left;
  account.balance += left;
  return [{ body: { type: 'payment.void', data: ofPayment(account, payment) } }];
};

/** A part of what was captured, or all that is not refunded yet. */
export const refund: Action = ({ random, account }) => {
  const payment = findPayment(account, (each) => leftToRefund(each) > 0n);
  if (!payment) return [];
  const left = leftToRefund(payment);
  const part = left > 1n && random.chance(0.6) ? randomPart(random, left) : undefined;
  payment.refunded += part ?? left;
  account.balance += part ?? left;
  return [{ body: { type: 'payment.refund', data: ofPayment(account, payment, part) } }];
};

export const receive: Action = (scene) => [delivery(scene, scene.pickSku())];

/** An order of stock that was received before. */
export const place: Action = (scene) => {
  const { random, account, book } = scene;
  const lines = Array.from({ length: 1 + random.below(ORDER_LINES) }, () => line(scene));
  const skus = [...new Set(lines.map(({ sku }) => sku))];
  const deliveries = skus.filter((sku) => !book.stocked.has(sku)).map((sku) => delivery(scene, sku));
  const id = scene.newId('ord');
  const total = lines.reduce((sum, { units, quantity }) => sum + units * BigInt(quantity), 0n);
  enterOrder(book, { id, account, total, state: 'placed' });
  const wireLines = lines.map(({ sku, quantity, unit_price }) => ({ sku, quantity, unit_price }));
  const data = { order: id, account: account.id, currency: account.currency, lines: wireLines };
  return [...deliveries, { body: { type: 'order.place', data }, after: [account.id, ...skus] }];
};

export const cancel: Action = ({ random, book }) => {
  if (book.orders.length === 0) return [];
  const order = random.pick(book.orders);
  if (order.state !== 'placed') return [];
  order.state = 'cancelled';
  if (order.account.unpaid === order) order.account.unpaid = undefined;
  return [{ body: { type: 'order.cancel', data: { order: order.id } } }];
};

function line(scene: Scene): OrderLine & { readonly units: bigint } {
  const { random, account } = scene;
  const units = randomAmount(random, account.currency) / 20n;
  const quantity = 1 + random.below(LINE_QUANTITY_MAX);
  return { sku: scene.pickSku(), quantity, unit_price: amountOf(units, account), units };
}

function delivery({ random, book }: Scene, sku: string): Draft {
  book.stocked.add(sku);
  return { body: { type: 'stock.receive', data: { sku, quantity: 1 + random.below(DELIVERY_MAX) } } };
}

function fund(account: Account, units: bigint): Draft {
  account.balance += units;
  const { id, currency } = account;
  return { body: { type: 'account.deposit', data: { account: id, amount: formatAmount(units, currency), currency } } };
}

/** A payment of the unpaid order's total, or of any amount. Money that lacks is deposited first. */
function newPayment(scene: Scene, type: 'payment.authorize' | 'payment.capture'): readonly Draft[] {
  const { random, account } = scene;
  const { id: holder, currency } = account;
  const order = takeUnpaid(account);
  const units = order?.total ?? randomAmount(random, currency);
  const lacking = units - account.balance;
  const funds = lacking > 0n ? [fund(account, lacking + randomAmount(random, currency))] : [];
  const id = scene.newId('pay');
  enterPayment(account, id, { units, captured: type === 'payment.capture' ? units : 0n });
  const data = { payment: id, account: holder, amount: amountOf(units, account), currency };
  if (!order) return [...funds, { body: { type, data } }];
  return [...funds, { body: { type, data: { ...data, order: order.id } }, after: [order.id] }];
}

function takeUnpaid(account: Account): Order | undefined {
  const order = account.unpaid;
  account.unpaid = undefined;
  if (!order || order.total === 0n) return undefined;
  order.state = 'paid';
  return order;
}

/** The oldest kept payment of that kind. */
function findPayment(account: Account, fits: (payment: Payment) => boolean): Payment | undefined {
  return account.payments.find(fits);
}

function ofPayment(account: Account, payment: Payment, units?: bigint): { payment: string; account: string; amount?: string } {
  const data = { payment: payment.id, account: account.id };
  return units === undefined ? data : { ...data, amount: amountOf(units, account) };
}
