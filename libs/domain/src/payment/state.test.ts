import { expect, test } from '@jest/globals';
import { paymentState } from './state.ts';

test.each([
  // captured, refunded, released of 10 authorized
  [0n, 0n, 0n, 'authorized'],
  [4n, 0n, 0n, 'partially_captured'],
  [10n, 0n, 0n, 'captured'],
  [4n, 0n, 6n, 'captured'],
  [0n, 0n, 10n, 'voided'],
  [10n, 1n, 0n, 'partially_refunded'],
  [4n, 1n, 6n, 'partially_refunded'],
  [4n, 4n, 0n, 'partially_refunded'],
  [4n, 4n, 6n, 'refunded'],
  [10n, 10n, 0n, 'refunded'],
])('%i captured, %i refunded, %i released of 10 is %s', (captured, refunded, released, state) => {
  const row = { account: 'demo/a', payment: 'p', currency: 'GBP', authorized: 10n, order_id: null };
  expect(paymentState({ ...row, captured, refunded, released })).toBe(state);
});
