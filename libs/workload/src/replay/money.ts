/**
 * Prices and sums of an invoice file, exact: a bigint of millionths of the currency's unit, because a file may hold
 * prices that the currency cannot, and the sum of all rows is to be compared with the file's own.
 */
import { currencyDigits } from '@millrace/write';

const MICRO_DIGITS = 6;
const DECIMAL = /^(-?)(\d{1,12})(?:[.,](\d{1,6}))?$/;
const GROUPED = /^(-?)(\d{1,3}(?:,\d{3})+\.\d{1,6}|\d{1,3}(?:\.\d{3})+,\d{1,6})$/;

/** What the invoices are in: the data set is of a British shop. */
export const CURRENCY = 'GBP';
const MICROS_PER_MINOR_UNIT = 10n ** BigInt(MICRO_DIGITS - currencyDigits(CURRENCY));

/**
 * The millionths of `2.55`, `2,55`, `1,234.50` or `1.234,50`; undefined for anything else. A single mark is a
 * decimal mark, never a group's.
 */
export function parsePrice(text: string): bigint | undefined {
  const grouped = GROUPED.test(text);
  const plain = grouped ? ungroup(text) : text;
  const parts = DECIMAL.exec(plain);
  if (!parts) return undefined;
  const [, sign, whole = '', fraction = ''] = parts;
  const micros = BigInt(whole + fraction.padEnd(MICRO_DIGITS, '0'));
  return sign === '-' ? -micros : micros;
}

/** The currency's minor units; undefined where the price has more digits than the currency. */
export function minorUnitsOf(micros: bigint): bigint | undefined {
  return micros % MICROS_PER_MINOR_UNIT === 0n ? micros / MICROS_PER_MINOR_UNIT : undefined;
}

export function microsOf(minorUnits: bigint): bigint {
  return minorUnits * MICROS_PER_MINOR_UNIT;
}

/** `180,667.75`: at least the currency's digits, all that are needed. */
export function formatMicros(micros: bigint): string {
  const sign = micros < 0n ? '-' : '';
  const digits = (micros < 0n ? -micros : micros).toString().padStart(MICRO_DIGITS + 1, '0');
  const whole = BigInt(digits.slice(0, -MICRO_DIGITS)).toLocaleString('en');
  const fraction = digits.slice(-MICRO_DIGITS).replace(/0+$/, '').padEnd(currencyDigits(CURRENCY), '0');
  return `${sign}${whole}.${fraction}`;
}

function ungroup(text: string): string {
  const mark = text.lastIndexOf('.') > text.lastIndexOf(',') ? ',' : '.';
  return text.replaceAll(mark, '');
}
