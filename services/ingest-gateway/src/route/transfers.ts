/** GET /v1/transfers/{transfer} */
import { slotOf } from '@millrace/ring';
import { sagaOf, type Part } from '@millrace/saga';
import { toJson } from '@millrace/wire';
import { must, routingKey } from '@millrace/write';
import { Router } from 'express';
import { readTransfer } from '../read/orders.sql.ts';
import { causeOf, historyJson, standing } from '../read/saga-json.ts';
import type { Reads } from './reads.ts';

export function transferRoutes(reads: Reads): Router {
  return Router().get(
    '/v1/transfers/:transfer',
    reads.handler('/v1/transfers/{transfer}', async ({ tenant, id, askAnswered }) => {
      const transfer = id('transfer');
      const key = routingKey(tenant, transfer);
      const slot = slotOf(key, reads.slots);
      const row = await askAnswered(slot, (shard) => readTransfer(shard, slot, key));
      if (!row.found) return undefined;
      const saga = sagaOf({ ...row, due_ms: null });
      const from = side(saga.parts, 'out');
      const to = side(saga.parts, 'in');
      const { amount, currency } = from;
      return toJson({ transfer, from: from.id, to: to.id, amount, currency, ...standing(saga.state, causeOf(saga)), history: historyJson(saga.history) });
    }),
  );
}

function side(parts: readonly Part[], direction: Part['direction']): Part & { readonly kind: 'account' } {
  return must(
    parts.find((part): part is Part & { kind: 'account' } => part.kind === 'account' && part.direction === direction),
    'a transfer has two accounts',
  );
}
