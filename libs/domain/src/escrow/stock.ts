/** Stock items as participants of sagas. */
import { z } from 'zod';
import { sku } from '../fields.ts';
import { emptyStock, stock, type StockRow } from '../stock/table.ts';
import { because } from '../saga/messages.ts';
import { commandFields, commandsOf, direction, type ParticipantType } from './command.ts';

const settle = z.strictObject({ sku, ...commandFields });
const hold = z.strictObject({ sku, ...commandFields, direction, quantity: z.int().min(1) });

const stockParticipant: ParticipantType<StockRow, z.infer<typeof settle>, z.infer<typeof hold>> = {
  kind: 'stock',
  table: stock,
  schemas: { settle, hold },
  idOf: (data) => data.sku,
  poolOf: ({ on_hand: available, reserved: kept, incoming }) => ({ available, kept, incoming }),
  withPool: (row, { available, kept, incoming }) => ({ ...row, on_hand: available, reserved: kept, incoming }),
  // A sku that never came in has no units, which is no other answer than one that is sold out.
  termsOf: (row, at, data) => ({
    row: row ?? emptyStock(at.key),
    terms: { direction: data.direction, units: BigInt(data.quantity) },
  }),
  refusalOf({ on_hand: onHand }, id, { direction: way, units }) {
    if (way === 'in') return because('stock_overflow', { sku: id });
    return because('insufficient_stock', { sku: id, on_hand: onHand.toString(), short: (units - onHand).toString() });
  },
};

export const stockCommands = commandsOf(stockParticipant);
