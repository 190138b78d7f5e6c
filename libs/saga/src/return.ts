/**
 * A return of parts of a confirmed order: their price is paid back, their units are put back.
 *
 *   step       claim (the order's saga)   refund                   one for each sku
 *   hold       with the start itself      account.hold in (room)   stock.hold in (room)   all at once; any may be refused
 *   pivot      the last hold
 *   confirm    -                          account.confirm          stock.confirm          always succeeds
 *   compensate given back with the end    account.release          stock.release          always succeeds, also before the hold
 */
import { because, DEADLINE_SECONDS, RETURN_START, type Refusal } from '@millrace/domain';
import { assert, formatAmount, must, parseAmount } from '@millrace/write';
import { z } from 'zod';
import type { SagaDefinition } from './definition.ts';
import type { Confirmed, LineClaim } from './saga.ts';

const schema = z.strictObject({
  return: z.string(),
  lines: z.array(z.strictObject({ sku: z.string(), quantity: z.int().min(1) })).min(1),
  order: z.strictObject({
    account: z.string(),
    currency: z.string(),
    lines: z.array(z.strictObject({ sku: z.string(), quantity: z.int().min(1), unit_price: z.string() })),
  }),
});
type Return = z.infer<typeof schema>;

export const returnSaga: SagaDefinition<Return> = {
  kind: 'return',
  start: RETURN_START,
  schema,
  exists: 'return_exists',
  name: (data) => `return/${data.return}`,
  base: {
    name: 'order',
    giveBack: (order, claim) => ({ ...order, returned: changed(order.returned ?? [], claim, -1) }),
  },
  begin(data, order) {
    if (order?.state !== 'confirmed') return { code: 'not_confirmed' };
    const wanted = unitsBySku(data);
    const claim = claimOf(data, order, wanted);
    if ('code' in claim) return claim;
    const { account, currency } = data.order;
    return {
      parts: [
        { kind: 'account', id: account, direction: 'in', amount: priceOf(data, claim), currency },
        ...[...wanted].map(([id, quantity]) => ({ kind: 'stock', id, direction: 'in', quantity }) as const),
      ],
      deadlineSeconds: DEADLINE_SECONDS,
      base: { ...order, returned: changed(order.returned ?? data.order.lines.map(() => 0), claim, 1) },
      claim,
    };
  },
};

function unitsBySku({ lines }: Return): ReadonlyMap<string, number> {
  const units = new Map<string, number>();
  for (const { sku, quantity } of lines) units.set(sku, (units.get(sku) ?? 0) + quantity);
  return units;
}

/** From the lines of each sku in their order, as far as they are not returned yet. */
function claimOf({ order: { lines } }: Return, { returned = [] }: Confirmed, wanted: ReadonlyMap<string, number>): readonly LineClaim[] | Refusal {
  const claim: LineClaim[] = [];
  const linesOf = Map.groupBy(lines.entries(), ([, { sku }]) => sku);
  for (const [sku, quantity] of wanted) {
    const ofSku = linesOf.get(sku);
    if (!ofSku) return because('unknown_line', { sku });
    let missing = quantity;
    for (const [line, { quantity: bought }] of ofSku) {
      const units = Math.min(missing, bought - (returned[line] ?? 0));
      if (units > 0) claim.push({ line, quantity: units });
      missing -= units;
    }
    if (missing > 0) return because('exceeds_bought', { sku, left: String(quantity - missing) });
  }
  return claim;
}

function changed(returned: readonly number[], claim: readonly LineClaim[], sign: 1 | -1): readonly number[] {
  const units = [...returned];
  for (const { line, quantity } of claim) {
    const changedTo = (units[line] ?? 0) + sign * quantity;
    assert(changedTo >= 0, 'S4: no more is given back than was claimed');
    units[line] = changedTo;
  }
  return units;
}

function priceOf({ order: { currency, lines } }: Return, claim: readonly LineClaim[]): string {
  let total = 0n;
  for (const { line, quantity } of claim) {
    const { unit_price: price } = must(lines[line], 'a claim is of a line');
    total += BigInt(quantity) * must(parseAmount(price, currency), 'the order was placed with this price');
  }
  return formatAmount(total, currency);
}
