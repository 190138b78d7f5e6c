/** GET /v1/accounts/{account} */
import { slotOf } from '@millrace/ring';
import { toJson } from '@millrace/wire';
import { formatAmount, routingKey } from '@millrace/write';
import { Router } from 'express';
import { readAccount } from '../read/entities.sql.ts';
import type { Reads } from './reads.ts';

export function accountRoutes(reads: Reads): Router {
  return Router().get(
    '/v1/accounts/:account',
    reads.handler('/v1/accounts/{account}', async ({ tenant, id, ask }) => {
      const account = id('account');
      const key = routingKey(tenant, account);
      const slot = slotOf(key, reads.slots);
      const row = await ask(slot, (shard) => readAccount(shard, slot, key));
      if (!row.found) return undefined;
      const { currency } = row;
      return toJson({ account, currency, balance: formatAmount(row.balance, currency), held: formatAmount(row.held, currency) });
    }),
  );
}
