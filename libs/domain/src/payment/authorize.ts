import { z } from 'zod';
import { accountId, amount, currency, money, orderId, paymentId } from '../fields.ts';
import type { WriteType } from '../model.ts';
import { createPayment, paymentReads } from './create.ts';

const schema = z
  .strictObject({ payment: paymentId, account: accountId, amount, currency, order: orderId.optional() })
  .check(money)
  .meta({ title: 'payment.authorize', description: "Holds an amount of an account's balance for a new payment." });

export const paymentAuthorize: WriteType<z.infer<typeof schema>> = {
  type: 'payment.authorize',
  summary: 'Authorize a payment',
  schema,
  id: (data) => data.account,
  reads: paymentReads,
  apply: (rows, at, data) => createPayment(rows, at, data, { capture: false }),
};
