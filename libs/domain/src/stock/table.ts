/** Stock by sku. `on_hand` is what can be sold, `reserved` what orders keep; their sum fits a bigint. */
import type { Table } from '../model.ts';

export type StockRow = {
  /** The routing key of the sku. */
  readonly key: string;
  readonly on_hand: bigint;
  readonly reserved: bigint;
};

export const stock: Table<StockRow> = {
  name: 'stock',
  stream: 'writes',
  key: ['key'],
  columns: { key: 'text', on_hand: 'bigint', reserved: 'bigint' },
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
  primary key (slot, key)
) with (fillfactor = 80)`,
};
