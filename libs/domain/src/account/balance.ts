/** How folds move money in and out of a balance. */
import { MINOR_UNITS_MAX, must, parseAmount } from '@millrace/write';
import type { AccountRow } from './table.ts';

/** The account with `units` more to spend; undefined where all that it has and expects would pass the range of a bigint. */
export function credit(row: AccountRow, units: bigint): AccountRow | undefined {
  if (row.balance + row.held + row.incoming + units > MINOR_UNITS_MAX) return undefined;
  return { ...row, balance: row.balance + units };
}

/** The minor units of an amount that a schema checked against its currency. */
export function unitsOf(data: { readonly amount: string; readonly currency: string }): bigint {
  return must(parseAmount(data.amount, data.currency), 'the schema checked the amount');
}
