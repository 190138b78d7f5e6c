import { z } from 'zod';
import { account } from '../account/table.ts';
import { accountId, paymentId } from '../fields.ts';
import { type WriteType, applied, put, refused } from '../model.ts';
import { paymentReads } from './create.ts';
import { remaining } from './state.ts';
import { payment } from './table.ts';

const schema = z.strictObject({ payment: paymentId, account: accountId }).meta({
  title: 'payment.void',
  description: 'Gives back to the balance what a payment holds and has not captured. Nothing can be captured after.',
});

export const paymentVoid: WriteType<z.infer<typeof schema>> = {
  type: 'payment.void',
  summary: 'Void what is left of an authorization',
  schema,
  id: (data) => data.account,
  reads: paymentReads,
  apply(rows, at, data) {
    const payer = rows.get(account, [at.key]);
    if (!payer) return refused('unknown_account');
    const paid = rows.get(payment, [at.key, data.payment]);
    if (!paid) return refused('unknown_payment');
    if (paid.released > 0n) return refused('already_voided');
    const left = remaining(paid);
    if (left === 0n) return refused('already_captured');
    return applied(
      put(account, { ...payer, balance: payer.balance + left, held: payer.held - left }),
      put(payment, { ...paid, released: left }),
    );
  },
};
