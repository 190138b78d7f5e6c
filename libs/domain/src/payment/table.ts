/**
 * Payments, each within its account's slot. All amounts are totals over the payment's life:
 * captured + released <= authorized, and refunded <= captured.
 */
import type { Table } from '../model.ts';

export type PaymentRow = {
  /** The routing key of the account. */
  readonly account: string;
  readonly payment: string;
  readonly currency: string;
  readonly authorized: bigint;
  readonly captured: bigint;
  readonly refunded: bigint;
  /** What a void gave back to the balance. */
  readonly released: bigint;
  readonly order_id: string | null;
};

export const payment: Table<PaymentRow> = {
  name: 'payment',
  stream: 'writes',
  key: ['account', 'payment'],
  columns: {
    account: 'text',
    payment: 'text',
    currency: 'text',
    authorized: 'bigint',
    captured: 'bigint',
    refunded: 'bigint',
    released: 'bigint',
    order_id: 'text',
  },
};

export const paymentMigration = {
  id: 'domain-payment-1',
  sql: `
create table payment (
  slot int not null,
  account text collate "C" not null,
  payment text collate "C" not null,
  currency text collate "C" not null,
  authorized bigint not null check (authorized > 0),
  captured bigint not null check (captured >= 0),
  refunded bigint not null check (refunded between 0 and captured),
  released bigint not null check (released between 0 and authorized - captured),
  order_id text collate "C",
  primary key (slot, account, payment)
)`,
};
