/** Accounts. `balance` is what can be spent, `held` what authorizations keep; balance + held fits a bigint. */
import type { Table } from '../model.ts';

export type AccountRow = {
  /** The account's routing key. */
  readonly key: string;
  readonly currency: string;
  readonly balance: bigint;
  readonly held: bigint;
};

export const account: Table<AccountRow> = {
  name: 'account',
  stream: 'writes',
  key: ['key'],
  columns: { key: 'text', currency: 'text', balance: 'bigint', held: 'bigint' },
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
  primary key (slot, key)
) with (fillfactor = 80)`,
};
