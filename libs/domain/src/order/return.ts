import { z } from 'zod';
import { orderId, OWN_RETURN_PREFIX, returnId, sku } from '../fields.ts';
import { type WriteType, refused } from '../model.ts';
import { RETURN_START, toSaga } from '../saga/messages.ts';
import { LINES_MAX, QUANTITY_MAX } from './limits.ts';
import { orders } from './table.ts';

const schema = z
  .strictObject({
    order: orderId,
    return: returnId.optional(),
    lines: z
      .array(z.strictObject({ sku, quantity: z.int().min(1).max(QUANTITY_MAX).meta({ description: 'Units returned.', examples: [2] }) }))
      .min(1)
      .max(LINES_MAX)
      .meta({ description: `1 to ${LINES_MAX.toLocaleString('en')} lines; units of a sku are taken from the lines of that sku in their order.` }),
  })
  .meta({
    title: 'order.return',
    description:
      'Returns parts of a confirmed order: their price is paid back, and their units are put back. In as many parts as wanted, never more than was bought.',
  });

/** Whether so much can be returned is the saga's to say, which knows all returns of the order. */
export const orderReturn: WriteType<z.infer<typeof schema>> = {
  type: 'order.return',
  summary: 'Return parts of an order',
  schema,
  id: (data) => data.order,
  reads: (at) => [{ table: orders, key: [at.key] }],
  apply(rows, at, data) {
    const placed = rows.get(orders, [at.key]);
    if (!placed) return refused('unknown_order');
    const name = data.return ?? `${OWN_RETURN_PREFIX}${at.offset}`;
    const { account, currency, lines } = placed;
    const start = { return: name, lines: data.lines, order: { account, currency, lines } };
    return { outcome: 'applied', changes: [], detail: { return: name }, messages: [toSaga(at, RETURN_START, start)] };
  },
};
