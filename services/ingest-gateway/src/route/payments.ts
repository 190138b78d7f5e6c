/** GET /v1/payments/{payment}?account= */
import { paymentState } from '@millrace/domain';
import { slotOf } from '@millrace/ring';
import { toJson } from '@millrace/wire';
import { formatAmount, routingKey } from '@millrace/write';
import { Router } from 'express';
import { readPayment } from '../read/entities.sql.ts';
import type { Reads } from './reads.ts';

export function paymentRoutes(reads: Reads): Router {
  return Router().get(
    '/v1/payments/:payment',
    reads.handler('/v1/payments/{payment}', async ({ tenant, id, ask }) => {
      const payment = id('payment');
      const account = id('account');
      const key = routingKey(tenant, account);
      const slot = slotOf(key, reads.slots);
      const row = await ask(slot, (shard) => readPayment(shard, slot, key, payment));
      if (!row.found) return undefined;
      const { currency, order_id: order } = row;
      return toJson({
        payment,
        account,
        state: paymentState(row),
        currency,
        authorized: formatAmount(row.authorized, currency),
        captured: formatAmount(row.captured, currency),
        refunded: formatAmount(row.refunded, currency),
        released: formatAmount(row.released, currency),
        ...(order === null ? {} : { order }),
      });
    }),
  );
}
