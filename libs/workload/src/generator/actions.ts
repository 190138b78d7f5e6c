/** What customers pay, and what the warehouse receives. Each action fits the book and is applied by the domain. */
import { enterFunds, enterPayment, leftToCapture, leftToRefund } from './book.ts';
import { type Action, type Draft, type Scene, amountOf, delivery, findPayment, fund, funding, ofPayment, randomAmount, randomPart } from './scene.ts';

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
  enterFunds(account, left);
  return [{ body: { type: 'payment.void', data: ofPayment(account, payment) } }];
};

/** A part of what was captured, or all that is not refunded yet. */
export const refund: Action = ({ random, account }) => {
  const payment = findPayment(account, (each) => leftToRefund(each) > 0n);
  if (!payment) return [];
  const left = leftToRefund(payment);
  const part = left > 1n && random.chance(0.6) ? randomPart(random, left) : undefined;
  payment.refunded += part ?? left;
  enterFunds(account, part ?? left);
  return [{ body: { type: 'payment.refund', data: ofPayment(account, payment, part) } }];
};

export const receive: Action = (scene) => [delivery(scene, scene.pickSku())];

/** A payment of any amount. Money that lacks is deposited first. */
function newPayment(scene: Scene, type: 'payment.authorize' | 'payment.capture'): readonly Draft[] {
  const { random, account } = scene;
  const units = randomAmount(random, account.currency);
  const funds = funding(scene, units);
  const id = scene.newId('pay');
  enterPayment(account, id, { units, captured: type === 'payment.capture' ? units : 0n });
  const data = { payment: id, account: account.id, amount: amountOf(units, account), currency: account.currency };
  return [...funds, { body: { type, data } }];
}
