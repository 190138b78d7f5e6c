import { formatAmount, must, parseAmount } from '@millrace/write';
import { z } from 'zod';
import { account } from '../account/table.ts';
import {
  type Checked,
  accountId,
  currency,
  orderId,
  partialAmount,
  paymentId,
  reject,
  withinRangeOf,
} from '../fields.ts';
import { type At, type Decision, type Rows, type WriteType, applied, put, refused } from '../model.ts';
import { createPayment, paymentReads } from './create.ts';
import { type PaymentPart, partOf } from './part.ts';
import { remaining } from './state.ts';
import { payment } from './table.ts';

const fields = z.strictObject({
  payment: paymentId,
  account: accountId,
  amount: partialAmount.optional(),
  currency: currency.optional(),
  order: orderId.optional(),
});
type Capture = z.infer<typeof fields>;

const schema = fields.check(amountFitsCurrency).meta({
  title: 'payment.capture',
  description:
    'With `currency`: a new payment that is authorized and captured at once (`amount` is then required). ' +
    'Without: captures an authorization, all that remains of it or the `amount`; as often as something remains.',
});

export const paymentCapture: WriteType<Capture> = {
  type: 'payment.capture',
  summary: 'Capture a payment, whole or in part',
  schema,
  id: (data) => data.account,
  reads: paymentReads,
  apply(rows, at, data) {
    if (data.currency === undefined) return captureAuthorized(rows, at, data);
    const amount = must(data.amount, 'the schema asks for an amount beside a currency');
    const whole = { payment: data.payment, amount, currency: data.currency, order: data.order };
    return createPayment(rows, at, whole, { capture: true });
  },
};

function amountFitsCurrency(payload: Checked<Capture>): void {
  const { value } = payload;
  const { amount, currency: code } = value;
  if (code === undefined) {
    if (value.order !== undefined) reject(payload, ['order'], 'belongs to a new payment, which has a currency');
    return;
  }
  if (amount === undefined) {
    reject(payload, ['amount'], 'is required beside a currency');
    return;
  }
  const units = parseAmount(amount, code);
  if (units === undefined) reject(payload, ['amount'], `must be ${withinRangeOf(code)}`);
  else value.amount = formatAmount(units, code);
}

/** Moves money that the account holds out of it. */
function captureAuthorized(rows: Rows, at: At, data: PaymentPart): Decision {
  const payer = rows.get(account, [at.key]);
  if (!payer) return refused('unknown_account');
  const paid = rows.get(payment, [at.key, data.payment]);
  if (!paid) return refused('unknown_payment');
  const left = remaining(paid);
  if (paid.released > 0n) return refused('payment_voided');
  if (left === 0n) return refused('already_captured');
  const part = partOf(data, paid, { left, over: 'exceeds_authorized' });
  if (part.refusal) return part.refusal;
  return applied(
    put(account, { ...payer, held: payer.held - part.units }),
    put(payment, { ...paid, captured: paid.captured + part.units }),
  );
}
