/**
 * What a record asks for, by a validation of the checker's own.
 *
 * Every field of every write type is read here once more, by hand: an error in the schemas of the domain must not
 * hide itself by being used on both sides. What does not read is expected to be parked.
 */
import { formatAmount, INTERNAL_KEY_PREFIX, MINOR_UNITS_MAX, parseAmount } from '@millrace/write';
import { readCommand, type Command } from './command.ts';
import { isCurrencyCode, isId, isObject, isPositiveDecimal, isQuantity, isText, isWhole, only, positiveUnits, readList, type Fields } from './fields.ts';

export type Write =
  | { readonly op: 'open'; readonly id: string; readonly currency: string }
  | { readonly op: 'deposit'; readonly id: string; readonly units: bigint; readonly currency: string }
  | NewPayment
  | { readonly op: 'capture' | 'refund'; readonly id: string; readonly payment: string; readonly amount: string | null }
  | { readonly op: 'void'; readonly id: string; readonly payment: string }
  | { readonly op: 'receive'; readonly id: string; readonly quantity: bigint }
  | NewOrder
  | { readonly op: 'cancel'; readonly id: string }
  | NewReturn
  | NewTransfer
  | Command;

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
  readonly deadlineSeconds: number;
}

export interface NewReturn {
  readonly op: 'return';
  readonly id: string;
  /** Null where its name is to be made from the offset of the write. */
  readonly name: string | null;
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[];
}

export interface NewTransfer {
  readonly op: 'transfer';
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly units: bigint;
  readonly currency: string;
  readonly deadlineSeconds: number;
}

const QUANTITY_RECEIVED_MAX = 1_000_000_000;
const QUANTITY_ORDERED_MAX = 1_000_000;
const LINES_MAX = 1000;
const REFERENCE_LENGTH_MAX = 255;
export const DEADLINE_SECONDS = 900;
const DEADLINE_SECONDS_MAX = 7 * 24 * 60 * 60;

/**
 * The write that `data` of this type asks for; undefined where it is not valid. `id` is what it is routed by. A command
 * is valid under an idempotency key of Millrace's own only.
 */
export function readBody(type: string, data: unknown, idempotencyKey: string): Write | undefined {
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
    case 'order.return':
      return readReturn(data);
    case 'transfer.place':
      return readTransfer(data);
    default:
      return idempotencyKey.startsWith(INTERNAL_KEY_PREFIX) ? readCommand(type, data) : undefined;
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
  const { order, account, currency, lines: given } = data;
  if (!only(data, ['order', 'account', 'currency', 'lines'], ['deadline_seconds']) || !isId(order) || !isId(account)) return undefined;
  const deadlineSeconds = deadlineOf(data);
  if (!isCurrencyCode(currency) || deadlineSeconds === undefined) return undefined;
  const lines = readList(given, LINES_MAX, (line) => readLine(line, currency));
  if (lines === undefined) return undefined;
  const total = lines.reduce((sum, line) => sum + line.total, 0n);
  if (total > MINOR_UNITS_MAX) return undefined;
  return { op: 'place', id: order, account, currency, total, lines: lines.map(({ text }) => text).join('\n'), deadlineSeconds };
}

/** Ids of this kind are made where a return comes without one. */
function isReturnId(name: unknown): name is string {
  return isId(name) && !name.startsWith('auto-');
}

function readReturn(data: Fields): Write | undefined {
  const { order, return: name } = data;
  if (!only(data, ['order', 'lines'], ['return']) || !isId(order) || (name !== undefined && !isReturnId(name))) return undefined;
  const lines = readList(data.lines, LINES_MAX, (line) => {
    if (!isObject(line) || !only(line, ['sku', 'quantity'])) return undefined;
    const { sku, quantity } = line;
    return isId(sku) && isQuantity(quantity, QUANTITY_ORDERED_MAX) ? { sku, quantity } : undefined;
  });
  return lines && { op: 'return', id: order, name: name ?? null, lines };
}

function readTransfer(data: Fields): Write | undefined {
  const { transfer, from, to, amount, currency } = data;
  if (!only(data, ['transfer', 'from', 'to', 'amount', 'currency'], ['deadline_seconds'])) return undefined;
  if (!isId(transfer) || !isId(from) || !isId(to) || from === to || !isCurrencyCode(currency)) return undefined;
  const units = positiveUnits(amount, currency);
  const deadlineSeconds = deadlineOf(data);
  if (units === undefined || deadlineSeconds === undefined) return undefined;
  return { op: 'transfer', id: transfer, from, to, units, currency, deadlineSeconds };
}

function deadlineOf({ deadline_seconds: seconds }: Fields): number | undefined {
  if (seconds === undefined) return DEADLINE_SECONDS;
  return isWhole(seconds, 1) && seconds <= DEADLINE_SECONDS_MAX ? seconds : undefined;
}

function readLine(line: unknown, currency: string): { readonly total: bigint; readonly text: string } | undefined {
  if (!isObject(line) || !only(line, ['sku', 'quantity', 'unit_price'])) return undefined;
  const { sku, quantity, unit_price: price } = line;
  if (!isId(sku) || !isQuantity(quantity, QUANTITY_ORDERED_MAX) || typeof price !== 'string') return undefined;
  const units = parseAmount(price, currency);
  if (units === undefined) return undefined;
  return { total: BigInt(quantity) * units, text: lineText(quantity, formatAmount(units, currency), sku) };
}
