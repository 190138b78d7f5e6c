/** GET /v1/stock/{sku} */
import { slotOf } from '@millrace/ring';
import { toJson } from '@millrace/wire';
import { routingKey } from '@millrace/write';
import { Router } from 'express';
import { readStock } from '../read/entities.sql.ts';
import type { Reads } from './reads.ts';

export function stockRoutes(reads: Reads): Router {
  return Router().get(
    '/v1/stock/:sku',
    reads.handler('/v1/stock/{sku}', async ({ tenant, id, ask }) => {
      const sku = id('sku');
      const key = routingKey(tenant, sku);
      const slot = slotOf(key, reads.slots);
      const row = await ask(slot, (shard) => readStock(shard, slot, key));
      // Quantities are JSON integers, as in requests; written from the bigint, so that none is rounded.
      return row.found ? `{"sku":${toJson(sku)},"on_hand":${row.on_hand},"reserved":${row.reserved}}` : undefined;
    }),
  );
}
