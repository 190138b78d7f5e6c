import type { PaymentRow } from './table.ts';

export type PaymentState =
  | 'authorized'
  | 'partially_captured'
  | 'captured'
  | 'voided'
  | 'partially_refunded'
  | 'refunded';

/** What can still be captured, in minor units. */
export function remaining(row: PaymentRow): bigint {
  return row.authorized - row.captured - row.released;
}

/** A payment's state in one word. Refunded means over: nothing is left to refund, and nothing to capture. */
export function paymentState(row: PaymentRow): PaymentState {
  const open = remaining(row) > 0n;
  if (row.refunded > 0n) return row.refunded === row.captured && !open ? 'refunded' : 'partially_refunded';
  if (row.captured > 0n) return open ? 'partially_captured' : 'captured';
  return open ? 'authorized' : 'voided';
}
