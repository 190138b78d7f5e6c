/** Why a row of an invoice file becomes no write. Each is counted, none is dropped in silence. */

/** Rows that are no sale and no return. */
export const UNUSABLE = {
  wrong_fields: 'the row has more or fewer fields than the header',
  no_invoice: 'the row has no invoice number',
  no_stock_code: 'the row has no stock code',
  bad_quantity: 'the quantity is not a whole number',
  zero_quantity: 'the quantity is zero: nothing was sold',
  bad_price: 'the unit price is not a decimal number',
  price_too_precise: 'the unit price has more digits than the currency',
  negative_price: 'the unit price is negative: an entry of the accounts, not a sale',
  zero_price: 'the unit price is zero: a sample, a loss or a stock count, not a sale',
  bad_date: 'the date is none of d/m/yyyy hh:mm, m/d/yyyy h:mm and ISO 8601',
  accounts_entry: 'the invoice number begins with `A`: an entry of the accounts (bad debt), not a sale',
  negative_without_cancellation: 'the quantity is negative and the invoice is no cancellation (`C`): a stock adjustment',
  positive_in_cancellation: 'the quantity is positive in a cancellation (`C`)',
  out_of_range: 'the quantity or the amount is greater than a line of an order can hold',
} as const;
export type UnusableReason = keyof typeof UNUSABLE;

/** Rows of cancellations that no order of the file can take back. */
export const UNMATCHED = {
  no_earlier_order: 'the customer has no earlier order in the file: what is cancelled was bought before it begins',
  not_bought: 'no earlier order of the customer in the file has the stock code: a discount, a fee, or bought before the file begins',
  other_price: 'the customer bought the stock code at other prices only: what would be paid back is not what the file says',
  not_enough_left: 'the earlier orders of the customer have fewer units left to return at that price',
} as const;
export type UnmatchedReason = keyof typeof UNMATCHED;
