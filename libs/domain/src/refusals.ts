/** Every reason for which a write can be refused, with its title. Clients rely on the codes: they never change. */
export const REFUSALS = {
  account_exists: 'The account is already open.',
  unknown_account: 'There is no such account.',
  currency_mismatch: 'The account is kept in another currency.',
  insufficient_funds: 'The balance is smaller than the amount.',
  balance_overflow: 'The account would hold more than a balance can express.',
  invalid_amount: "The amount has more digits than the payment's currency, or passes its range.",
  payment_exists: 'The account already has a payment of this id.',
  unknown_payment: 'The account has no payment of this id.',
  payment_voided: 'What was not captured has been released.',
  already_captured: 'All that was authorized is captured.',
  already_voided: 'What was not captured is already released.',
  exceeds_authorized: 'The amount is greater than what is left to capture.',
  nothing_to_refund: 'Nothing is captured that is not refunded.',
  exceeds_captured: 'The amount is greater than what is left to refund.',
  stock_overflow: 'The stock would be greater than a quantity can express.',
  order_exists: 'The order is already placed.',
  unknown_order: 'There is no such order.',
  already_cancelled: 'The order is already cancelled.',
  idempotency_mismatch: 'The idempotency key was used before for another body.',
  skipped_by_operator: 'The write could not be applied, and an operator skipped it.',
  not_parked: 'The key to release is not parked.',
  still_parked: 'What the release let go was refused by the database again; the key stays parked.',
} as const;

export type RefusalCode = keyof typeof REFUSALS;
