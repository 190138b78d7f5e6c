import { z } from 'zod';
import { accountId, amount, currency, money, text } from '../fields.ts';
import { applied, put, refused, type WriteType } from '../model.ts';
import { credit, unitsOf } from './balance.ts';
import { account } from './table.ts';

const schema = z
  .strictObject({
    account: accountId,
    amount,
    currency,
    reference: text.optional().meta({ description: 'What the deposit is for, up to 255 characters.' }),
  })
  .check(money)
  .meta({ title: 'account.deposit', description: "Adds an amount to an account's balance." });

export const accountDeposit: WriteType<z.infer<typeof schema>> = {
  type: 'account.deposit',
  summary: 'Deposit into an account',
  schema,
  id: (data) => data.account,
  reads: (at) => [{ table: account, key: [at.key] }],
  apply(rows, at, data) {
    const holder = rows.get(account, [at.key]);
    if (!holder) return refused('unknown_account');
    if (holder.currency !== data.currency) return refused('currency_mismatch', { currency: holder.currency });
    const credited = credit(holder, unitsOf(data));
    return credited ? applied(put(account, credited)) : refused('balance_overflow');
  },
};
