/**
 * The fields that write types share. Their descriptions are what the API documentation shows.
 *
 * Each check aborts, so that a check of the whole body (`money`) sees well-formed fields only.
 */
import { DECIMAL_PATTERN, ID_PATTERN, formatAmount, isCurrency, parseAmount } from '@millrace/write';
import { z } from 'zod';

const TEXT_LENGTH_MAX = 255;

function id(noun: string, example: string): z.ZodString {
  return z
    .string()
    .regex(ID_PATTERN, { error: `must be 1 to 64 visible ASCII characters without "/"`, abort: true })
    .meta({ description: `${noun}: 1 to 64 visible ASCII characters without \`/\`.`, examples: [example] });
}

export const accountId = id('The id of the account', 'acc-1');
export const paymentId = id('The id of the payment, unique within its account', 'pay-1');
export const orderId = id('The id of the order', 'ord-1');
/** Of ids of returns that are made where a client gives none. */
export const OWN_RETURN_PREFIX = 'auto-';
export const returnId = id(`The id of the return, unique within its order, and not beginning with \`${OWN_RETURN_PREFIX}\`; one is made where absent`, 'ret-1').refine(
  (value) => !value.startsWith(OWN_RETURN_PREFIX),
  { error: `must not begin with "${OWN_RETURN_PREFIX}"`, abort: true },
);
export const transferId = id('The id of the transfer', 'tr-1');
export const sku = id('The stock code', '85123A');

export const currency = z
  .string()
  .refine(isCurrency, { error: 'must be an ISO 4217 currency code in upper case', abort: true })
  .meta({ description: 'An ISO 4217 currency code.', pattern: '^[A-Z]{3}$', examples: ['GBP'] });

const decimal = z.string().regex(DECIMAL_PATTERN, {
  error: 'must be a decimal string without sign, exponent or leading zeros, such as "12.50"',
  abort: true,
});

export const amount = decimal.meta({
  description: "A decimal string greater than zero, with at most the currency's ISO 4217 digits.",
  examples: ['12.50'],
});

export const unitPrice = decimal.meta({
  description: "The price of one unit: a decimal string, may be zero, with at most the currency's ISO 4217 digits.",
  examples: ['2.55'],
});

/** An amount whose currency only the payment's row knows: its digits are the fold's to check. */
export const partialAmount = decimal
  .refine(isPositive, { error: 'must be greater than zero', abort: true })
  .meta({
    description: "A decimal string greater than zero, in the payment's currency; all that remains where absent.",
    examples: ['5.00'],
  });

/** Text that Postgres can hold: no NUL, no lone surrogates. */
export const text = z
  .string()
  .max(TEXT_LENGTH_MAX, { abort: true })
  .refine((value) => !value.includes('\0') && value.isWellFormed(), {
    error: 'must be Unicode text without NUL and lone surrogates',
  });

/** True for a decimal other than zero. */
function isPositive(decimalText: string): boolean {
  return /[1-9]/.test(decimalText);
}

/** What a check of a whole body is given: the parsed copy of the body, and where to tell what is wrong with it. */
export type Checked<T> = z.core.ParsePayload<T>;

/** Checks `amount` against `currency`, and writes it with all the currency's digits: "10" GBP becomes "10.00". */
export function money(payload: Checked<{ amount: string; readonly currency: string }>): void {
  const { value } = payload;
  const units = parseAmount(value.amount, value.currency);
  if (units) value.amount = formatAmount(units, value.currency);
  else reject(payload, ['amount'], `must be greater than zero and ${withinRangeOf(value.currency)}`);
}

/** What an amount must be to be one of the currency's. */
export function withinRangeOf(code: string): string {
  return `within the digits of ${code} and the range of a bigint of minor units`;
}

/** Tells that a part of the body is wrong. */
export function reject(payload: Checked<unknown>, path: (string | number)[], message: string): void {
  payload.issues.push({ code: 'custom', path, input: payload.value, message });
}
