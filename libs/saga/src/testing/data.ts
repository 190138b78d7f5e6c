/** Sagas of tests. */
import fc from 'fast-check';
import type { LineClaim, Part, Saga, Stage } from '../saga.ts';

export const START_MS = 1_700_000_000_000;

/** An order of one account and so many skus: `acc-1`, `s0`, `s1` ... */
export function orderParts(skus: number): readonly Part[] {
  const stock = Array.from({ length: skus }, (_, index) => ({ kind: 'stock', id: `s${index}`, direction: 'out', quantity: index + 1 }) as const);
  return [{ kind: 'account', id: 'acc-1', direction: 'out', amount: '10.00', currency: 'GBP' }, ...stock];
}

const id = fc.stringMatching(/^[!-.0-~]{1,64}$/);
const direction = fc.constantFrom('out' as const, 'in' as const);
const part: fc.Arbitrary<Part> = fc.oneof(
  fc.record({ kind: fc.constant('account' as const), id, direction, amount: fc.constantFrom('0', '1.50'), currency: fc.constant('GBP') }),
  fc.record({ kind: fc.constant('stock' as const), id, direction, quantity: fc.integer({ min: 1, max: 1_000_000_000 }) }),
);
const instant = fc.integer({ min: 0, max: 4_000_000_000_000 });
const some = fc.array(fc.nat(1_000), { maxLength: 5 });
const cause = fc.oneof(
  fc.constant({ code: 'cancelled_by_client' as const }),
  fc.record({ code: fc.constant('insufficient_stock' as const), detail: fc.record({ sku: id, on_hand: fc.constant('0'), short: fc.constant('1') }) }),
);
const claim: fc.Arbitrary<readonly LineClaim[]> = fc.array(fc.record({ line: fc.nat(999), quantity: fc.integer({ min: 1, max: 9 }) }), { maxLength: 4 });
const stage: fc.Arbitrary<Stage> = fc.record({ state: fc.constantFrom('reserving', 'confirming', 'undoing', 'confirmed', 'rejected', 'cancelled'), at_ms: instant });
const common = fc
  .tuple(
    fc.record({
      kind: fc.constantFrom('order' as const, 'return' as const, 'transfer' as const),
      parts: fc.array(part, { minLength: 1, maxLength: 4 }),
      history: fc.array(stage, { minLength: 1, maxLength: 4 }),
      attempt: fc.nat(3),
    }),
    fc.option(claim, { nil: undefined }),
  )
  .map(([fields, claimed]) => (claimed === undefined ? fields : { ...fields, claim: claimed }));

/** Any saga, of every state. */
export const anySaga: fc.Arbitrary<Saga> = fc.oneof(
  both(common, fc.record({ state: fc.constant('reserving' as const), waiting: some, dueMs: instant })),
  both(common, fc.record({ state: fc.constant('confirming' as const), waiting: some })),
  both(common, fc.record({ state: fc.constant('undoing' as const), waiting: some, ends: fc.constantFrom('rejected' as const, 'cancelled' as const), cause })),
  both(common, fc.oneof(fc.record({ state: fc.constant('confirmed' as const) }), fc.record({ state: fc.constant('confirmed' as const), returned: some }))),
  both(common, fc.record({ state: fc.constantFrom('rejected' as const, 'cancelled' as const), cause })),
);

function both<A extends object, B extends object>(a: fc.Arbitrary<A>, b: fc.Arbitrary<B>): fc.Arbitrary<A & B> {
  return fc.tuple(a, b).map(([one, other]) => ({ ...one, ...other }));
}
