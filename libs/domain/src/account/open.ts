import { z } from 'zod';
import { accountId, currency } from '../fields.ts';
import { applied, put, refused, type WriteType } from '../model.ts';
import { account } from './table.ts';

const schema = z
  .strictObject({ account: accountId, currency })
  .meta({ title: 'account.open', description: 'Opens an account in one currency, with a balance of zero.' });

export const accountOpen: WriteType<z.infer<typeof schema>> = {
  type: 'account.open',
  summary: 'Open an account',
  schema,
  id: (data) => data.account,
  reads: (at) => [{ table: account, key: [at.key] }],
  apply(rows, at, data) {
    if (rows.get(account, [at.key])) return refused('account_exists');
    return applied(put(account, { key: at.key, currency: data.currency, balance: 0n, held: 0n, incoming: 0n }));
  },
};
