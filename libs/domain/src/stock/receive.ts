import { z } from 'zod';
import { sku } from '../fields.ts';
import { type WriteType, applied, put, refused } from '../model.ts';
import { STOCK_MAX, emptyStock, stock } from './table.ts';

const QUANTITY_MAX = 1_000_000_000;

const schema = z
  .strictObject({
    sku,
    quantity: z.int().min(1).max(QUANTITY_MAX).meta({ description: 'Units received.', examples: [100] }),
  })
  .meta({ title: 'stock.receive', description: 'Adds units to the stock of a sku. The first receipt creates it.' });

export const stockReceive: WriteType<z.infer<typeof schema>> = {
  type: 'stock.receive',
  summary: 'Receive stock',
  schema,
  id: (data) => data.sku,
  reads: (at) => [{ table: stock, key: [at.key] }],
  apply(rows, at, data) {
    const before = rows.get(stock, [at.key]) ?? emptyStock(at.key);
    const onHand = before.on_hand + BigInt(data.quantity);
    if (onHand + before.reserved + before.incoming > STOCK_MAX) return refused('stock_overflow');
    return applied(put(stock, { ...before, on_hand: onHand }));
  },
};
