/**
 * What a record asks for, by a validation of the checker's own.
 *
 * Every field of every write type is read here once more, by hand: an error in the schemas of the domain must not
 * hide itself by being used on both sides. What does not read is expected to be parked.
 */
import { ID_PATTERN, MINOR_UNITS_MAX, DECIMAL_PATTERN, formatAmount, isCurrency, parseAmount } from '@millrace/write';

export type Write =
  | { readonly op: 'open'; readonly id: string; readonly currency: string }
  | { readonly op: 'deposit'; readonly id: string; readonly units: bigint; readonly currency: string }
  | NewPayment
  | { readonly op: 'capture' | 'refund'; readonly id: string; readonly payment: string; readonly amount: string | null }
  | { readonly op: 'void'; readonly id: string; readonly payment: string }
  | { readonly op: 'receive'; readonly id: string; readonly quantity: bigint }
  | NewOrder
  | { readonly op: 'cancel'; readonly id: string };

/** `charge` is a capture that makes its own payment. */
export interface NewPayment {
  readonly op: 'authorize' | 'charge';
  readonly id: string;
  readonly payment: string;
  readonly units: bigint;
  readonly currency: string;
  readonly order: string | null;
}

export interface NewOrder {
  readonly op: 'place';
  readonly id: string;
  readonly account: string;
  readonly currency: string;
  readonly total: bigint;
  /** As `lineText` writes them. */
  readonly lines: string;
}

type Fields = Readonly<Record<string, unknown>>;

const QUANTITY_RECEIVED_MAX = 1_000_000_000;
const QUANTITY_ORDERED_MAX = 1_000_000;
const LINES_MAX = 1000;
const REFERENCE_LENGTH_MAX = 255;

/** The write that `data` of this type asks for; undefined where it is not valid. `id` is what it is routed by. */
export function readBody(type: string, data: unknown): Write | undefined {
  if (!isObject(data)) return undefined;
  switch (type) {
    case 'account.open':
      return readOpen(data);
    case 'account.deposit':
      return readDeposit(data);
    case 'payment.authorize':
      return readNewPayment('authorize', data);
    case 'payment.capture':
      return 'currency' in data ? readNewPayment('charge', data) : readPart('capture', data);
    case 'payment.refund':
      return readPart('refund', data);
    case 'payment.void':
      return readVoid(data);
    case 'stock.receive':
      return readReceive(data);
    case 'order.place':
      return readPlace(data);
    case 'order.cancel':
      return only(data, ['order']) && isId(data.order) ? { op: 'cancel', id: data.order } : undefined;
    default:
      return undefined;
  }
}

/** One line of an order as text; a sku holds no blank, so that it reads in one way only. */
export function lineText(quantity: unknown, unitPrice: unknown, sku: unknown): string {
  return `${String(quantity)} at ${String(unitPrice)} of ${String(sku)}`;
}

function readOpen(data: Fields): Write | undefined {
  const { account, currency } = data;
  if (!only(data, ['account', 'currency']) || !isId(account) || !isCurrencyCode(currency)) return undefined;
  return { op: 'open', id: account, currency };
}

function readDeposit(data: Fields): Write | undefined {
  const { account, amount, currency, reference } = data;
  if (!only(data, ['account', 'amount', 'currency'], ['reference']) || !isId(account) || !isCurrencyCode(currency)) return undefined;
  if (reference !== undefined && !isText(reference, REFERENCE_LENGTH_MAX)) return undefined;
  const units = positiveUnits(amount, currency);
  return units === undefined ? undefined : { op: 'deposit', id: account, units, currency };
}

function readNewPayment(op: 'authorize' | 'charge', data: Fields): Write | undefined {
  const { payment, account, amount, currency, order } = data;
  if (!only(data, ['payment', 'account', 'amount', 'currency'], ['order'])) return undefined;
  if (!isId(payment) || !isId(account) || !isCurrencyCode(currency)) return undefined;
  if (order !== undefined && !isId(order)) return undefined;
  const units = positiveUnits(amount, currency);
  if (units === undefined) return undefined;
  return { op, id: account, payment, units, currency, order: order ?? null };
}

function readPart(op: 'capture' | 'refund', data: Fields): Write | undefined {
  const { payment, account, amount } = data;
  if (!only(data, ['payment', 'account'], ['amount']) || !isId(payment) || !isId(account)) return undefined;
  if (amount !== undefined && !isPositiveDecimal(amount)) return undefined;
  return { op, id: account, payment, amount: amount ?? null };
}

function readVoid(data: Fields): Write | undefined {
  const { payment, account } = data;
  if (!only(data, ['payment', 'account']) || !isId(payment) || !isId(account)) return undefined;
  return { op: 'void', id: account, payment };
}

function readReceive(data: Fields): Write | undefined {
  const { sku, quantity } = data;
  if (!only(data, ['sku', 'quantity']) || !isId(sku) || !isQuantity(quantity, QUANTITY_RECEIVED_MAX)) return undefined;
  return { op: 'receive', id: sku, quantity: BigInt(quantity) };
}

function readPlace(data: Fields): Write | undefined {
  const { order, account, currency, lines } = data;
  if (!only(data, ['order', 'account', 'currency', 'lines']) || !isId(order) || !isId(account)) return undefined;
  if (!isCurrencyCode(currency) || !Array.isArray(lines) || lines.length < 1 || lines.length > LINES_MAX) return undefined;
  let total = 0n;
  const texts: string[] = [];
  for (const line of lines as readonly unknown[]) {
    const read = readLine(line, currency);
    if (read === undefined) return undefined;
    total += read.total;
    texts.push(read.text);
  }
  if (total > MINOR_UNITS_MAX) return undefined;
  return { op: 'place', id: order, account, currency, total, lines: texts.join('\n') };
}

function readLine(line: unknown, currency: string): { readonly total: bigint; readonly text: string } | undefined {
  if (!isObject(line) || !only(line, ['sku', 'quantity', 'unit_price'])) return undefined;
  const { sku, quantity, unit_price: price } = line;
  if (!isId(sku) || !isQuantity(quantity, QUANTITY_ORDERED_MAX) || typeof price !== 'string') return undefined;
  const units = parseAmount(price, currency);
  if (units === undefined) return undefined;
  return { total: BigInt(quantity) * units, text: lineText(quantity, formatAmount(units, currency), sku) };
}

/** True where all required fields are there and no field is unknown. */
function only(data: Fields, required: readonly string[], optional: readonly string[] = []): boolean {
  const names = Object.keys(data);
  return required.every((name) => names.includes(name)) && names.every((name) => required.includes(name) || optional.includes(name));
}

function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isId(value: unknown): value is string {
  return typeof value === 'string' && ID_PATTERN.test(value);
}

function isCurrencyCode(value: unknown): value is string {
  return typeof value === 'string' && isCurrency(value);
}

function positiveUnits(amount: unknown, currency: string): bigint | undefined {
  const units = typeof amount === 'string' ? parseAmount(amount, currency) : undefined;
  return units === 0n ? undefined : units;
}

/** An amount whose currency only the payment knows. */
function isPositiveDecimal(value: unknown): value is string {
  return typeof value === 'string' && DECIMAL_PATTERN.test(value) && /[1-9]/.test(value);
}

function isQuantity(value: unknown, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= max;
}

/** What Postgres can keep as text: no NUL, no half of a surrogate pair. */
function isText(value: unknown, lengthMax: number): value is string {
  return typeof value === 'string' && value.length <= lengthMax && !value.includes('\0') && value.isWellFormed();
}
