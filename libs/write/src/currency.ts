/**
 * ISO 4217 currencies and their minor-unit digits.
 *
 * The two-digit currencies are the rule; the others are listed with theirs. Funds codes, metals and test codes
 * are not money that an account can hold and are left out.
 */
import type { Brand } from './brand.ts';

export type Currency = Brand<string, 'Currency'>;

const DIGITS_0 = 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF';
const DIGITS_3 = 'BHD IQD JOD KWD LYD OMR TND';
const DIGITS_2 =
  'AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC ' +
  'CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR ' +
  'JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD ' +
  'NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN ' +
  'SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG';

const digitsByCode: ReadonlyMap<string, number> = new Map([
  ...DIGITS_0.split(' ').map((code) => [code, 0] as const),
  ...DIGITS_2.split(' ').map((code) => [code, 2] as const),
  ...DIGITS_3.split(' ').map((code) => [code, 3] as const),
]);

/** True for a code that an account can be opened in; upper case only. */
export function isCurrency(code: string): code is Currency {
  return digitsByCode.has(code);
}

/** Digits after the decimal point: 0, 2 or 3. @throws RangeError for what is not a currency. */
export function currencyDigits(code: string): number {
  const digits = digitsByCode.get(code);
  if (digits === undefined) throw new RangeError(`not an ISO 4217 currency: ${code}`);
  return digits;
}
