/** The table that every peer fills, and what a record holds for it. One row a payment: no journal, no balance, no position. */
import type { Capture } from '../writes.ts';

export const CREATE_PAYMENT_TABLE = `
  create table if not exists payment (
    payment text primary key,
    account text not null,
    amount text not null,
    currency text not null,
    "order" text
  )`;

export function paymentOf(value: Buffer | null): Capture {
  if (value === null) throw new Error('a payment record has a value');
  return (JSON.parse(value.toString()) as { data: Capture }).data;
}
