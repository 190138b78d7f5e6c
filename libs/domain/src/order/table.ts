/**
 * Orders as placed: a row never changes. What becomes of an order is its saga's to tell (stream `sagas`).
 * `total` is the sum of the lines in minor units.
 */
import type { Table } from '../model.ts';

export type OrderLine = {
  readonly sku: string;
  readonly quantity: number;
  /** A decimal string with all the digits of the order's currency. */
  readonly unit_price: string;
};

export type OrderRow = {
  /** The order's routing key. */
  readonly key: string;
  /** The id of the paying account, without its tenant. */
  readonly account: string;
  readonly currency: string;
  readonly total: bigint;
  readonly lines: readonly OrderLine[];
};

export const orders: Table<OrderRow> = {
  name: 'orders',
  stream: 'writes',
  key: ['key'],
  columns: { key: 'text', account: 'text', currency: 'text', total: 'bigint', lines: 'jsonb' },
};

export const ordersMigration = {
  id: 'domain-orders-1',
  sql: `
create table orders (
  slot int not null,
  key text collate "C" not null,
  account text collate "C" not null,
  currency text collate "C" not null,
  total bigint not null check (total >= 0),
  lines jsonb not null,
  primary key (slot, key)
)`,
};
