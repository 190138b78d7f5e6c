/** Writes that the domain must refuse, each with the code that it owes. They change nothing in the book. */
import { currencyDigits } from '@millrace/write';
import type { WriteBody } from '../write.ts';
import { type Account, type Payment, leftToCapture, leftToRefund } from './book.ts';
import { type Action, type Draft, type Scene, amountOf } from './scene.ts';

const isUntouched = (payment: Payment): boolean => payment.captured === 0n && payment.released === 0n;
const isCaptured = (payment: Payment): boolean => payment.captured === payment.authorized;
const isVoided = (payment: Payment): boolean => payment.released === payment.authorized;

export const refusals: readonly Action[] = [
  ({ account, newId }) => [refuse('unknown_account', depositOf(newId('nobody'), account.currency))],
  ({ account }) => [refuse('account_exists', { type: 'account.open', data: { account: account.id, currency: account.currency } })],
  ({ account }) => [refuse('currency_mismatch', depositOf(account.id, account.currency === 'USD' ? 'EUR' : 'USD'))],
  (scene) => [refuse('insufficient_funds', authorizeOf(scene, scene.newId('pay'), scene.account.most + 1n))],
  (scene) => onPayment(scene.account, () => true, ({ id }) => refuse('payment_exists', authorizeOf(scene, id, 1n))),
  ({ account, newId }) => [
    refuse('unknown_payment', { type: 'payment.capture', data: { payment: newId('nothing'), account: account.id } }),
  ],
  ({ account }) => onPayment(account, isCaptured, (payment) => refuse('already_captured', captureOf(account, payment))),
  ({ account }) => onPayment(account, isVoided, (payment) => refuse('payment_voided', captureOf(account, payment))),
  ({ account }) =>
    onPayment(account, isVoided, ({ id }) =>
      refuse('already_voided', { type: 'payment.void', data: { payment: id, account: account.id } }),
    ),
  ({ account }) =>
    onPayment(account, isUntouched, (payment) =>
      refuse('exceeds_authorized', captureOf(account, payment, amountOf(leftToCapture(payment) + 1n, account))),
    ),
  ({ account }) => onPayment(account, isUntouched, (payment) => refuse('nothing_to_refund', refundOf(account, payment))),
  ({ account }) =>
    onPayment(account, (payment) => leftToRefund(payment) > 0n, (payment) =>
      refuse('exceeds_captured', refundOf(account, payment, amountOf(leftToRefund(payment) + 1n, account))),
    ),
  ({ account }) => {
    if (currencyDigits(account.currency) >= 3) return [];
    return onPayment(account, isUntouched, (payment) => refuse('invalid_amount', captureOf(account, payment, '0.001')));
  },
  ({ newId }) => [refuse('unknown_order', { type: 'order.cancel', data: { order: newId('nothing') } })],
  ({ newId, pickSku }) => {
    const lines = [{ sku: pickSku(), quantity: 1 }];
    return [refuse('unknown_order', { type: 'order.return', data: { order: newId('nothing'), lines } })];
  },
  ({ random, book, account, pickSku }) => {
    if (book.orders.length === 0) return [];
    const { id } = random.pick(book.orders);
    const lines = [{ sku: pickSku(), quantity: 1, unit_price: '1' }];
    const data = { order: id, account: account.id, currency: account.currency, lines };
    return [refuse('order_exists', { type: 'order.place', data })];
  },
];

function refuse(code: string, body: WriteBody): Draft {
  return { body, refusal: code };
}

function onPayment(account: Account, fits: (payment: Payment) => boolean, make: (payment: Payment) => Draft): readonly Draft[] {
  const payment = account.payments.find(fits);
  return payment ? [make(payment)] : [];
}

function depositOf(account: string, currency: string): WriteBody {
  return { type: 'account.deposit', data: { account, amount: '10', currency } };
}

function authorizeOf({ account }: Scene, payment: string, units: bigint): WriteBody {
  const { id, currency } = account;
  return { type: 'payment.authorize', data: { payment, account: id, amount: amountOf(units, account), currency } };
}

function captureOf(account: Account, payment: Payment, amount?: string): WriteBody {
  const data = { payment: payment.id, account: account.id };
  return { type: 'payment.capture', data: amount === undefined ? data : { ...data, amount } };
}

function refundOf(account: Account, payment: Payment, amount?: string): WriteBody {
  const data = { payment: payment.id, account: account.id };
  return { type: 'payment.refund', data: amount === undefined ? data : { ...data, amount } };
}
