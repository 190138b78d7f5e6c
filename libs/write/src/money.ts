/** Money is a decimal string outside and bigint minor units inside, within the range of a Postgres bigint. */
import type { Brand } from './brand.ts';
import { currencyDigits } from './currency.ts';

/** An amount in the currency's smallest unit: pence, yen, fils. */
export type MinorUnits = Brand<bigint, 'MinorUnits'>;

export const MINOR_UNITS_MAX = 2n ** 63n - 1n;

/** A decimal as a client writes it: no sign, no exponent, no superfluous leading zero, at most 19 + 3 digits. */
export const DECIMAL_PATTERN = /^(?:0|[1-9]\d{0,18})(?:\.\d{1,3})?$/;

/**
 * The minor units of a decimal string; `"12.5"` in GBP is 1250.
 * Undefined where the text is not a decimal, has more digits than the currency, or passes `MINOR_UNITS_MAX`.
 */
export function parseAmount(text: string, currency: string): MinorUnits | undefined {
  if (!DECIMAL_PATTERN.test(text)) return undefined;
  const digits = currencyDigits(currency);
  const point = text.indexOf('.');
  const whole = point < 0 ? text : text.slice(0, point);
  const fraction = point < 0 ? '' : text.slice(point + 1);
  if (fraction.length > digits) return undefined;
  const units = BigInt(whole + fraction.padEnd(digits, '0'));
  return units <= MINOR_UNITS_MAX ? (units as MinorUnits) : undefined;
}

/** The decimal string with all the currency's digits; 1250 in GBP is `"12.50"`. Negative amounts get a sign. */
export function formatAmount(units: bigint, currency: string): string {
  const digits = currencyDigits(currency);
  const sign = units < 0n ? '-' : '';
  const text = (units < 0n ? -units : units).toString().padStart(digits + 1, '0');
  return digits === 0 ? sign + text : `${sign}${text.slice(0, -digits)}.${text.slice(-digits)}`;
}
