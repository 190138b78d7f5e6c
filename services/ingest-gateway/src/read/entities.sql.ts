/**
 * The entities that clients read, one query each.
 *
 * Every query reads the slot row and the position in the same statement, so in the same snapshot, as the entity:
 * what it returns is as old as that position, and no older. `incoming`, the room that is promised to sagas, is nobody's
 * money or stock yet, and is not read.
 */
import type { AccountRow, PaymentRow, StockRow } from '@millrace/domain';
import type { Database } from '@millrace/postgres';
import type { RoutingKey, Slot } from '@millrace/write';
import type { SlotRow } from './positions.sql.ts';

/** A row of slot and entity; without the entity its columns are null. */
export type Found<R> = SlotRow & ({ readonly found: true } & R | { readonly found: false });

export async function readAccount(shard: Database, slot: Slot, key: RoutingKey): Promise<Found<Omit<AccountRow, 'incoming'>> | undefined> {
  const rows = await shard.query<Found<Omit<AccountRow, 'incoming'>>>({
    name: 'gateway-account',
    text: `
      select s.state as slot_state, s.moved_to, p.next_offset, a.key is not null as found, a.key, a.currency, a.balance, a.held
      from slot s
      left join position p on p.slot = s.slot and p.stream = 'writes'
      left join account a on a.slot = s.slot and a.key = $2
      where s.slot = $1`,
    values: [slot, key],
  });
  return rows[0];
}

export async function readPayment(shard: Database, slot: Slot, account: RoutingKey, payment: string): Promise<Found<PaymentRow> | undefined> {
  const rows = await shard.query<Found<PaymentRow>>({
    name: 'gateway-payment',
    text: `
      select s.state as slot_state, s.moved_to, p.next_offset, y.payment is not null as found,
             y.account, y.payment, y.currency, y.authorized, y.captured, y.refunded, y.released, y.order_id
      from slot s
      left join position p on p.slot = s.slot and p.stream = 'writes'
      left join payment y on y.slot = s.slot and y.account = $2 and y.payment = $3
      where s.slot = $1`,
    values: [slot, account, payment],
  });
  return rows[0];
}

export async function readStock(shard: Database, slot: Slot, key: RoutingKey): Promise<Found<Omit<StockRow, 'incoming'>> | undefined> {
  const rows = await shard.query<Found<Omit<StockRow, 'incoming'>>>({
    name: 'gateway-stock',
    text: `
      select s.state as slot_state, s.moved_to, p.next_offset, k.key is not null as found, k.key, k.on_hand, k.reserved
      from slot s
      left join position p on p.slot = s.slot and p.stream = 'writes'
      left join stock k on k.slot = s.slot and k.key = $2
      where s.slot = $1`,
    values: [slot, key],
  });
  return rows[0];
}
