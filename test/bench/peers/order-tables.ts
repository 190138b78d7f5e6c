/**
 * Accounts, stock and what orders hold of them, on one database of the workflow peer, and the statements of its steps.
 *
 * A step may run again after a crash, so each statement is its own transaction and finds what it has done already by
 * the row in `hold`.
 */
import type pg from 'pg';

export const CREATE_ORDER_TABLES = `
  create table account (id text primary key, balance bigint not null check (balance >= 0), held bigint not null);
  create table stock (id text primary key, on_hand bigint not null check (on_hand >= 0), reserved bigint not null);
  create table hold (order_id text not null, kind text not null, id text not null, units bigint not null,
    state text not null check (state in ('held', 'confirmed', 'released')), primary key (order_id, kind, id));`;

const HOLD_FUNDS = {
  name: 'hold_funds',
  text: `
    with before as (select from hold where order_id = $1 and kind = 'account' and id = $2),
    taken as (
      update account set balance = balance - $3, held = held + $3
      where id = $2 and balance >= $3 and not exists (select from before) returning id),
    kept as (insert into hold select $1, 'account', id, $3, 'held' from taken)
    select exists (select from taken) or exists (select from before) as done`,
};

const HOLD_STOCK = {
  name: 'hold_stock',
  text: `
    with before as (select from hold where order_id = $1 and kind = 'stock' and id = $2),
    taken as (
      update stock set on_hand = on_hand - $3, reserved = reserved + $3
      where id = $2 and on_hand >= $3 and not exists (select from before) returning id),
    kept as (insert into hold select $1, 'stock', id, $3, 'held' from taken)
    select exists (select from taken) or exists (select from before) as done`,
};

/** Everything that an order holds on this database, at once. */
const CONFIRM = {
  name: 'confirm',
  text: `
    with settled as (update hold set state = 'confirmed' where order_id = $1 and state = 'held' returning kind, id, units),
    charged as (update account a set held = a.held - s.units from settled s where s.kind = 'account' and a.id = s.id)
    update stock t set reserved = t.reserved - s.units from settled s where s.kind = 'stock' and t.id = s.id`,
};

const RELEASE = {
  name: 'release',
  text: `
    with settled as (update hold set state = 'released' where order_id = $1 and state = 'held' returning kind, id, units),
    paid_back as (
      update account a set held = a.held - s.units, balance = a.balance + s.units from settled s where s.kind = 'account' and a.id = s.id)
    update stock t set reserved = t.reserved - s.units, on_hand = t.on_hand + s.units from settled s where s.kind = 'stock' and t.id = s.id`,
};

export interface Wanted {
  readonly order: string;
  readonly id: string;
  /** Minor units of money, or pieces. */
  readonly units: number;
}

/** False where there is not enough. */
export async function holdFunds(pool: pg.Pool, { order, id, units }: Wanted): Promise<boolean> {
  const { rows } = await pool.query<{ done: boolean }>({ ...HOLD_FUNDS, values: [order, id, units] });
  return rows[0]?.done === true;
}

export async function holdStock(pool: pg.Pool, { order, id, units }: Wanted): Promise<boolean> {
  const { rows } = await pool.query<{ done: boolean }>({ ...HOLD_STOCK, values: [order, id, units] });
  return rows[0]?.done === true;
}

export async function confirm(pool: pg.Pool, order: string): Promise<void> {
  await pool.query({ ...CONFIRM, values: [order] });
}

export async function release(pool: pg.Pool, order: string): Promise<void> {
  await pool.query({ ...RELEASE, values: [order] });
}
