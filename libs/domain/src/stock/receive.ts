import { z } from 'zod';
import { sku } from '../fields.ts';
import { type WriteType, applied, put, refused } from '../model.ts';
import { type StockRow, stock } from './table.ts';

const QUANTITY_MAX = 1_000_000_000;
const STOCK_MAX = 2n ** 63n - 1n;

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
    const before: StockRow = rows.get(stock, [at.key]) ?? { key: at.key, on_hand: 0n, reserved: 0n };
    const onHand = before.on_hand + BigInt(data.quantity);
    if (onHand + before.reserved > STOCK_MAX) return refused('stock_overflow');
    return applied(put(stock, { ...before, on_hand: onHand }));
  },
};
