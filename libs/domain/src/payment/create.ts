/** A new payment: authorized only, or captured at once. */
import { formatAmount } from '@millrace/write';
import { unitsOf } from '../account/balance.ts';
import { account } from '../account/table.ts';
import { type At, type Decision, type Ref, type Rows, applied, put, refused } from '../model.ts';
import { payment } from './table.ts';

export interface NewPayment {
  readonly payment: string;
  readonly amount: string;
  readonly currency: string;
  readonly order?: string | undefined;
}

/** The rows that every write about a payment reads: its account and itself. */
export function paymentReads(at: At, data: { readonly payment: string }): readonly Ref[] {
  return [
    { table: account, key: [at.key] },
    { table: payment, key: [at.key, data.payment] },
  ];
}

/** Takes the amount from the balance: into `held`, or away from the account where it is captured at once. */
export function createPayment(rows: Rows, at: At, data: NewPayment, { capture }: { capture: boolean }): Decision {
  const payer = rows.get(account, [at.key]);
  if (!payer) return refused('unknown_account');
  if (rows.get(payment, [at.key, data.payment])) return refused('payment_exists');
  if (payer.currency !== data.currency) return refused('currency_mismatch', { currency: payer.currency });
  const units = unitsOf(data);
  if (units > payer.balance) {
    return refused('insufficient_funds', { balance: formatAmount(payer.balance, payer.currency) });
  }
  return applied(
    put(account, { ...payer, balance: payer.balance - units, held: capture ? payer.held : payer.held + units }),
    put(payment, {
      account: at.key,
      payment: data.payment,
      currency: data.currency,
      authorized: units,
      captured: capture ? units : 0n,
      refunded: 0n,
      released: 0n,
      order_id: data.order ?? null,
    }),
  );
}
