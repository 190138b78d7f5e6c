import { z } from 'zod';
import { credit } from '../account/balance.ts';
import { account } from '../account/table.ts';
import { accountId, partialAmount, paymentId } from '../fields.ts';
import { type WriteType, applied, put, refused } from '../model.ts';
import { paymentReads } from './create.ts';
import { partOf } from './part.ts';
import { payment } from './table.ts';

const schema = z.strictObject({ payment: paymentId, account: accountId, amount: partialAmount.optional() }).meta({
  title: 'payment.refund',
  description: 'Gives captured money back to the balance: all that is not refunded yet, or the `amount`.',
});

export const paymentRefund: WriteType<z.infer<typeof schema>> = {
  type: 'payment.refund',
  summary: 'Refund a payment, whole or in part',
  schema,
  id: (data) => data.account,
  reads: paymentReads,
  apply(rows, at, data) {
    const payer = rows.get(account, [at.key]);
    if (!payer) return refused('unknown_account');
    const paid = rows.get(payment, [at.key, data.payment]);
    if (!paid) return refused('unknown_payment');
    const left = paid.captured - paid.refunded;
    if (left === 0n) return refused('nothing_to_refund');
    const part = partOf(data, paid, { left, over: 'exceeds_captured' });
    if (part.refusal) return part.refusal;
    const credited = credit(payer, part.units);
    if (!credited) return refused('balance_overflow');
    return applied(put(account, credited), put(payment, { ...paid, refunded: paid.refunded + part.units }));
  },
};
