import { MINOR_UNITS_MAX, formatAmount, must, parseAmount } from '@millrace/write';
import { z } from 'zod';
import { type Checked, accountId, currency, orderId, reject, sku, unitPrice, withinRangeOf } from '../fields.ts';
import { type WriteType, applied, put, refused } from '../model.ts';
import { orders } from './table.ts';

const LINES_MAX = 1_000;
const QUANTITY_MAX = 1_000_000;

const line = z.strictObject({
  sku,
  quantity: z.int().min(1).max(QUANTITY_MAX).meta({ description: 'Units ordered.', examples: [6] }),
  unit_price: unitPrice,
});

const fields = z.strictObject({
  order: orderId,
  account: accountId,
  currency,
  lines: z
    .array(line)
    .min(1)
    .max(LINES_MAX)
    .meta({ description: `1 to ${LINES_MAX.toLocaleString('en')} lines; a sku may stand in several.` }),
});
type Placement = z.infer<typeof fields>;

const schema = fields.check(pricesAndTotal).meta({
  title: 'order.place',
  description: 'Places an order on an account. Its total is the sum of its lines.',
});

export const orderPlace: WriteType<Placement> = {
  type: 'order.place',
  summary: 'Place an order',
  schema,
  id: (data) => data.order,
  reads: (at) => [{ table: orders, key: [at.key] }],
  apply(rows, at, data) {
    if (rows.get(orders, [at.key])) return refused('order_exists');
    const { account, lines } = data;
    const row = { key: at.key, account, currency: data.currency, total: totalOf(data), lines, state: 'placed' } as const;
    return applied(put(orders, row));
  },
};

/** Checks each price against the currency and writes it with all its digits; the total must fit a bigint. */
function pricesAndTotal(payload: Checked<Placement>): void {
  const { currency: code, lines } = payload.value;
  let total = 0n;
  lines.forEach((item, index) => {
    const price = parseAmount(item.unit_price, code);
    if (price === undefined) {
      reject(payload, ['lines', index, 'unit_price'], `must be ${withinRangeOf(code)}`);
      return;
    }
    item.unit_price = formatAmount(price, code);
    total += price * BigInt(item.quantity);
  });
  if (total > MINOR_UNITS_MAX) reject(payload, ['lines'], 'the total passes the range of a bigint of minor units');
}

/** The sum of the lines in minor units. */
function totalOf({ currency: code, lines }: Placement): bigint {
  let total = 0n;
  for (const { quantity, unit_price: price } of lines) {
    total += BigInt(quantity) * must(parseAmount(price, code), 'the schema checked the price');
  }
  return total;
}
