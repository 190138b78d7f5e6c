/**
 * An order: its account is charged, and the stock of every line taken.
 *
 *   step       funds                one for each sku
 *   hold       account.hold out     stock.hold out       all at once; any may be refused
 *   pivot      the last hold
 *   confirm    account.confirm      stock.confirm        always succeeds
 *   compensate account.release      stock.release        always succeeds, also before the hold
 */
import { ORDER_START } from '@millrace/domain';
import { z } from 'zod';
import type { SagaDefinition } from './definition.ts';

const schema = z.strictObject({
  account: z.string(),
  currency: z.string(),
  total: z.string(),
  stock: z.array(z.strictObject({ sku: z.string(), quantity: z.int().min(1) })).min(1),
  deadline_seconds: z.int().min(1),
});

export const orderSaga: SagaDefinition<z.infer<typeof schema>> = {
  kind: 'order',
  start: ORDER_START,
  schema,
  exists: 'order_exists',
  name: () => 'order',
  begin: ({ account, currency, total, stock, deadline_seconds: deadlineSeconds }) => ({
    parts: [
      { kind: 'account', id: account, direction: 'out', amount: total, currency },
      ...stock.map(({ sku, quantity }) => ({ kind: 'stock', id: sku, direction: 'out', quantity }) as const),
    ],
    deadlineSeconds,
  }),
};
