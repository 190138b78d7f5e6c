import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { currencyDigits, isCurrency } from './currency.ts';
import { DECIMAL_PATTERN, formatAmount, MINOR_UNITS_MAX, parseAmount } from './money.ts';

const currency = fc.constantFrom('GBP', 'EUR', 'JPY', 'KRW', 'KWD', 'TND');
const units = fc.bigInt({ min: 0n, max: MINOR_UNITS_MAX });

describe('amounts', () => {
  test('every amount of every currency survives its decimal string', () => {
    fc.assert(
      fc.property(units, currency, (amount, code) => {
        const text = formatAmount(amount, code);
        expect(text).toMatch(DECIMAL_PATTERN);
        expect(parseAmount(text, code)).toBe(amount);
      }),
      { examples: [[0n, 'KWD'], [MINOR_UNITS_MAX, 'JPY'], [MINOR_UNITS_MAX, 'GBP'], [MINOR_UNITS_MAX, 'KWD'], [1n, 'GBP']] },
    );
  });

  test('an amount reaches the end of the bigint range and not one unit further', () => {
    expect(parseAmount('9223372036854775807', 'JPY')).toBe(MINOR_UNITS_MAX);
    expect(parseAmount('9223372036854775808', 'JPY')).toBeUndefined();
    expect(parseAmount('92233720368547758.07', 'GBP')).toBe(MINOR_UNITS_MAX);
    expect(parseAmount('92233720368547758.08', 'GBP')).toBeUndefined();
    expect(parseAmount('9223372036854775.807', 'KWD')).toBe(MINOR_UNITS_MAX);
    expect(parseAmount('9223372036854775.808', 'KWD')).toBeUndefined();
    expect(parseAmount('9999999999999999999', 'JPY')).toBeUndefined();
  });

  test('a shorter fraction means the same amount', () => {
    expect(parseAmount('12.5', 'GBP')).toBe(1250n);
    expect(parseAmount('12', 'GBP')).toBe(1200n);
    expect(parseAmount('12', 'JPY')).toBe(12n);
    expect(parseAmount('12.5', 'KWD')).toBe(12500n);
  });

  test.each([
    ['12.345', 'GBP'],
    ['12.0', 'JPY'],
    ['12.3456', 'KWD'],
  ])('%s has more digits than %s', (text, code) => {
    expect(parseAmount(text, code)).toBeUndefined();
  });

  test.each(['', ' ', '-1', '+1', '.5', '5.', '01', '00', '1e3', '1,5', '1 ', ' 1', '1\n', '0x1', '٣', 'NaN', 'Infinity', '1_0', '12345678901234567890'])(
    '%j is not an amount',
    (text) => {
      expect(parseAmount(text, 'GBP')).toBeUndefined();
    },
  );

  test('a negative amount is written with its sign', () => {
    expect(formatAmount(-5n, 'GBP')).toBe('-0.05');
    expect(formatAmount(-5n, 'JPY')).toBe('-5');
  });
});

describe('currencies', () => {
  test.each([
    ['JPY', 0],
    ['KRW', 0],
    ['GBP', 2],
    ['EUR', 2],
    ['KWD', 3],
    ['BHD', 3],
  ])('%s has %i digits', (code, digits) => {
    expect(currencyDigits(code)).toBe(digits);
  });

  test.each(['gbp', 'XAU', 'XTS', 'XXX', 'GB', '', 'GBPX', 'constructor'])('%j is not a currency of an account', (code) => {
    expect(isCurrency(code)).toBe(false);
    expect(() => currencyDigits(code)).toThrow(RangeError);
  });
});
