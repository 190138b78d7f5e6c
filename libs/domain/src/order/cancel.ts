import { z } from 'zod';
import { orderId } from '../fields.ts';
import { type WriteType, applied, put, refused } from '../model.ts';
import { orders } from './table.ts';

const schema = z
  .strictObject({ order: orderId })
  .meta({ title: 'order.cancel', description: 'Cancels a placed order.' });

export const orderCancel: WriteType<z.infer<typeof schema>> = {
  type: 'order.cancel',
  summary: 'Cancel an order',
  schema,
  id: (data) => data.order,
  reads: (at) => [{ table: orders, key: [at.key] }],
  apply(rows, at) {
    const placed = rows.get(orders, [at.key]);
    if (!placed) return refused('unknown_order');
    if (placed.state === 'cancelled') return refused('already_cancelled');
    return applied(put(orders, { ...placed, state: 'cancelled' }));
  },
};
