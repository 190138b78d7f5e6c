import { z } from 'zod';
import { orderId } from '../fields.ts';
import { type WriteType, refused } from '../model.ts';
import { SAGA_CANCEL, toSaga } from '../saga/messages.ts';
import { orders } from './table.ts';

const schema = z.strictObject({ order: orderId }).meta({
  title: 'order.cancel',
  description: 'Cancels an order that is not confirmed yet: what was reserved is given back. Refused with `too_late` afterwards.',
});

/** Whether it comes in time is the saga's to say: the cancel goes on to it. */
export const orderCancel: WriteType<z.infer<typeof schema>> = {
  type: 'order.cancel',
  summary: 'Cancel an order',
  schema,
  id: (data) => data.order,
  reads: (at) => [{ table: orders, key: [at.key] }],
  apply(rows, at) {
    if (!rows.get(orders, [at.key])) return refused('unknown_order');
    return { outcome: 'applied', changes: [], messages: [toSaga(at, SAGA_CANCEL, { saga: 'order', by: 'client' })] };
  },
};
