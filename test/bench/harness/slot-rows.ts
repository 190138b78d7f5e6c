/** Rows of a slot as captures leave them, made by SQL: what moves, without the hours that writing it would take. */
import { slotOf } from '@millrace/ring';
import { withClients } from './postgres.ts';
import { accountName, ACCOUNTS, CURRENCY, recordKeyOf } from '../writes.ts';

export interface SlotRows {
  readonly slot: number;
  /** S. */
  readonly slots: number;
  readonly journalRows: number;
  /** Every so many journal rows have a payment. */
  readonly journalRowsPerPayment: number;
}

const ROWS_PER_STATEMENT = 500_000;

/** Fills an empty slot of a shard, and sets its position behind the rows. No writer may run: its log has nothing of them. */
export async function fillSlot(url: string, { slot, slots, journalRows, journalRowsPerPayment }: SlotRows): Promise<void> {
  const keys = keysOf(slot, slots);
  await withClients([url], async (clients) => {
    const run = async (text: string, values?: readonly unknown[]) => void (await clients[0]?.query(text, values && [...values]));
    await run(ADD_ACCOUNTS, [slot, keys, CURRENCY]);
    for (let from = 0; from < journalRows; from += ROWS_PER_STATEMENT) {
      const to = Math.min(from + ROWS_PER_STATEMENT, journalRows) - 1;
      await run(ADD_JOURNAL, [slot, keys, from, to]);
      await run(ADD_PAYMENTS, [slot, keys, from, to, journalRowsPerPayment, CURRENCY]);
    }
    await run(`update position set next_offset = $2, relayed_offset = $2 where slot = $1 and stream = 'writes'`, [slot, journalRows]);
    // Otherwise whoever reads the rows first would pay for all who follow.
    await run('vacuum (analyze) journal, payment, account');
  });
}

/** The accounts whose writes go to the slot. */
export function keysOf(slot: number, slots: number): readonly string[] {
  const keys = Array.from({ length: ACCOUNTS }, (_, index) => recordKeyOf(accountName(index)));
  return keys.filter((key) => slotOf(key, slots) === slot);
}

const ADD_ACCOUNTS = `
  insert into account (slot, key, currency, balance, held)
  select $1::int, key, $3::text, 90000000000, 0 from unnest($2::text[]) key`;

const ADD_JOURNAL = `
  insert into journal (slot, stream, "offset", body_hash, at_ms, digest, outcome, key, type)
  select $1::int, 'writes', i, hashtextextended(i::text, 0), 1767225600000 + i, md5($1::int || '/' || i)::uuid, 'applied',
         ($2::text[])[1 + i % cardinality($2::text[])], 'payment.capture'
  from generate_series($3::bigint, $4::bigint) i`;

const ADD_PAYMENTS = `
  insert into payment (slot, account, payment, currency, authorized, captured, refunded, released, order_id)
  select $1::int, ($2::text[])[1 + i % cardinality($2::text[])], 'pay-p00-' || lpad(i::text, 9, '0'), $6::text, 1000 + i % 9000, 1000 + i % 9000, 0, 0, 'ord-p00-' || lpad(i::text, 9, '0')
  from generate_series($3::bigint, $4::bigint) i where i % $5::bigint = 0`;
