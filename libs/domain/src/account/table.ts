/** Accounts. `balance` is what can be spent, `held` what authorizations and sagas keep; balance + held + incoming fits a bigint. */
import type { Table } from '../model.ts';

export type AccountRow = {
  /** The account's routing key. */
  readonly key: string;
  readonly currency: string;
  readonly balance: bigint;
  readonly held: bigint;
  /** Room that is promised to sagas which will pay in. It is no money yet. */
  readonly incoming: bigint;
};

export const account: Table<AccountRow> = {
  name: 'account',
  stream: 'writes',
  key: ['key'],
  columns: { key: 'text', currency: 'text', balance: 'bigint', held: 'bigint', incoming: 'bigint' },
};

/** The free space in its pages keeps the updates of balances out of the index (HOT). */
export const accountMigration = {
  id: 'domain-account-1',
  sql: `
create table account (
  slot int not null,
  key text collate "C" not null,
  currency text collate "C" not null,
  balance bigint not null check (balance >= 0),
  held bigint not null check (held >= 0),
  incoming bigint not null default 0 check (incoming >= 0),
  primary key (slot, key)
) with (fillfactor = 80)`,
};
