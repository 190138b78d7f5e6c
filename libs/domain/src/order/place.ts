import { MINOR_UNITS_MAX, formatAmount, must, parseAmount } from '@millrace/write';
import { z } from 'zod';
import { type Checked, accountId, currency, orderId, reject, sku, unitPrice, withinRangeOf } from '../fields.ts';
import { type WriteType, put, refused } from '../model.ts';
import { DEADLINE_SECONDS, ORDER_START, deadlineSeconds, toSaga } from '../saga/messages.ts';
import { LINES_MAX, QUANTITY_MAX } from './limits.ts';
import { type OrderLine, orders } from './table.ts';

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
  deadline_seconds: deadlineSeconds.optional(),
});
type Placement = z.infer<typeof fields>;

const schema = fields.check(pricesAndTotal).meta({
  title: 'order.place',
  description:
    'Places an order on an account: its total, the sum of its lines, is charged and the stock of every line taken, or nothing at all.',
});

export const orderPlace: WriteType<Placement> = {
  type: 'order.place',
  summary: 'Place an order',
  schema,
  id: (data) => data.order,
  reads: (at) => [{ table: orders, key: [at.key] }],
  apply(rows, at, data) {
    if (rows.get(orders, [at.key])) return refused('order_exists');
    const { account, currency: code, lines } = data;
    const total = totalOf(data);
    const row = { key: at.key, account, currency: code, total, lines };
    const order = { account, currency: code, total: formatAmount(total, code), stock: unitsBySku(lines), deadline_seconds: data.deadline_seconds ?? DEADLINE_SECONDS };
    return { outcome: 'applied', changes: [put(orders, row)], messages: [toSaga(at, ORDER_START, order)] };
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

/** A sku that stands in several lines is taken once. */
function unitsBySku(lines: readonly OrderLine[]): readonly { readonly sku: string; readonly quantity: number }[] {
  const units = new Map<string, number>();
  for (const { sku: item, quantity } of lines) units.set(item, (units.get(item) ?? 0) + quantity);
  return [...units].map(([item, quantity]) => ({ sku: item, quantity }));
}
