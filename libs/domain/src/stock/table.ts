/** Stock by sku. `on_hand` is what can be sold, `reserved` what orders keep; on_hand + reserved + incoming fits a bigint. */
import type { Table } from '../model.ts';

export type StockRow = {
  /** The routing key of the sku. */
  readonly key: string;
  readonly on_hand: bigint;
  readonly reserved: bigint;
  /** Room that is promised to returns which will put back. These are no units yet. */
  readonly incoming: bigint;
};

export const STOCK_MAX = 2n ** 63n - 1n;

/** Of a sku that never came in. */
export function emptyStock(key: string): StockRow {
  return { key, on_hand: 0n, reserved: 0n, incoming: 0n };
}

export const stock: Table<StockRow> = {
  name: 'stock',
  stream: 'writes',
  key: ['key'],
  columns: { key: 'text', on_hand: 'bigint', reserved: 'bigint', incoming: 'bigint' },
};

/** The free space in its pages keeps the updates of quantities out of the index (HOT). */
export const stockMigration = {
  id: 'domain-stock-1',
  sql: `
create table stock (
  slot int not null,
  key text collate "C" not null,
  on_hand bigint not null check (on_hand >= 0),
  reserved bigint not null check (reserved >= 0),
  incoming bigint not null default 0 check (incoming >= 0),
  primary key (slot, key)
) with (fillfactor = 80)`,
};
