/** GET /v1/orders/{order} */
import { slotOf } from '@millrace/ring';
import { toJson } from '@millrace/wire';
import { formatAmount, routingKey } from '@millrace/write';
import { Router } from 'express';
import { readOrder } from '../read/entities.sql.ts';
import type { Reads } from './reads.ts';

export function orderRoutes(reads: Reads): Router {
  return Router().get(
    '/v1/orders/:order',
    reads.handler('/v1/orders/{order}', async ({ tenant, id, ask }) => {
      const order = id('order');
      const key = routingKey(tenant, order);
      const slot = slotOf(key, reads.slots);
      const row = await ask(slot, (shard) => readOrder(shard, slot, key));
      if (!row.found) return undefined;
      const { account, currency, total, lines } = row;
      return toJson({ order, account, state: stateOf(row.state), currency, total: formatAmount(total, currency), lines });
    }),
  );
}

function stateOf(saga: string | null): string {
  return saga === 'confirmed' || saga === 'rejected' || saga === 'cancelled' ? saga : 'placed';
}
