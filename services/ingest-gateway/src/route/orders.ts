/** GET /v1/orders/{order} */
import { slotOf } from '@millrace/ring';
import { sagaOf } from '@millrace/saga';
import { toJson } from '@millrace/wire';
import { formatAmount, routingKey } from '@millrace/write';
import { Router } from 'express';
import { limits } from '../limits.ts';
import { readOrder, type OrderSagas, type SagaColumns } from '../read/orders.sql.ts';
import { causeOf, historyJson, standing } from '../read/saga-json.ts';
import type { Reads } from './reads.ts';

export function orderRoutes(reads: Reads): Router {
  return Router().get(
    '/v1/orders/:order',
    reads.handler('/v1/orders/{order}', async ({ tenant, id, askAnswered }) => {
      const order = id('order');
      const key = routingKey(tenant, order);
      const slot = slotOf(key, reads.slots);
      const row = await askAnswered(slot, (shard) => readOrder(shard, slot, key, limits));
      if (!row.found) return undefined;
      const { account, currency, total, lines } = row;
      const { history, ...state } = sagaJson(row);
      return toJson({ order, account, ...state, currency, total: formatAmount(total, currency), lines, history, ...returnsJson(row) });
    }),
  );
}

/** An order whose saga has not begun is placed, and has no history yet. */
function sagaJson({ saga_state: state, saga_body: body }: OrderSagas): ReturnType<typeof standing> & { readonly history: ReturnType<typeof historyJson> } {
  if (state === null || body === null) return { ...standing('reserving'), history: [] };
  const saga = sagaOf({ state, body, due_ms: null });
  return { ...standing(state, causeOf(saga)), history: historyJson(saga.history) };
}

function returnsJson({ returns, returns_count: count }: OrderSagas): object {
  const leftOut = Number(count) - returns.length;
  return { returns: returns.map(returnJson), ...(leftOut === 0 ? {} : { returns_left_out: leftOut }) };
}

function returnJson({ saga: name, state, body }: SagaColumns): object {
  const saga = sagaOf({ state, body, due_ms: null });
  const refund = saga.parts.find((part) => part.kind === 'account');
  const lines = saga.parts.flatMap((part) => (part.kind === 'stock' ? [{ sku: part.id, quantity: part.quantity }] : []));
  return { return: name.slice('return/'.length), ...standing(state, causeOf(saga)), refund: refund?.amount, lines, history: historyJson(saga.history) };
}
