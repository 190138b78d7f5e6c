/** Where an action of the generator takes place: the book, one account, and the means to name and to size things. */
import { currencyDigits, formatAmount } from '@millrace/write';
import type { Work } from '../write.ts';
import { type Account, type Book, type Payment, enterFunds } from './book.ts';
import type { Random } from './random.ts';

/** A write without its idempotency key. */
export type Draft = Omit<Work, 'kind' | 'idempotencyKey'>;

export interface Scene {
  readonly book: Book;
  readonly random: Random;
  readonly account: Account;
  readonly run: string;
  /** An id that this run has not used: `pay-RUN-17`. */
  newId(noun: string): string;
  pickSku(): string;
}

/** An action: the writes that it makes, none where the book gives no occasion for it. */
export type Action = (scene: Scene) => readonly Draft[];

/** Minor units that no account of a run ever has; twelve lines of them fit an order. */
export const BEYOND_MEANS = 10n ** 16n;

const WHOLE_MAX = 400;
const DELIVERY_MAX = 1_000;

/** Up to 400 of a two-digit currency with a fraction of its own digits; up to 40,000 of one without. */
export function randomAmount(random: Random, currency: string): bigint {
  const scale = 10 ** Math.max(currencyDigits(currency), 2);
  return BigInt(1 + random.below(WHOLE_MAX * scale));
}

/** A part of an amount of at least 2 minor units: at least 1, less than all. */
export function randomPart(random: Random, whole: bigint): bigint {
  return 1n + (BigInt(random.next()) * (whole - 1n)) / 2n ** 32n;
}

export function amountOf(units: bigint, { currency }: Account): string {
  return formatAmount(units, currency);
}

export function fund(account: Account, units: bigint): Draft {
  enterFunds(account, units);
  return { body: { type: 'account.deposit', data: { account: account.id, amount: amountOf(units, account), currency: account.currency } } };
}

/** The deposit without which the account may lack the amount; none where it has it in any case. */
export function funding({ random, account }: Scene, units: bigint): readonly Draft[] {
  const lacking = units - account.least;
  return lacking > 0n ? [fund(account, lacking + randomAmount(random, account.currency))] : [];
}

/** Stock that comes in: at least so many units. */
export function delivery({ random, book }: Scene, sku: string, atLeast = 0): Draft {
  const quantity = atLeast + 1 + random.below(DELIVERY_MAX);
  book.stock.set(sku, (book.stock.get(sku) ?? 0) + quantity);
  return { body: { type: 'stock.receive', data: { sku, quantity } } };
}

/** The oldest kept payment of that kind. */
export function findPayment(account: Account, fits: (payment: Payment) => boolean): Payment | undefined {
  return account.payments.find(fits);
}

export function ofPayment(account: Account, payment: Payment, units?: bigint): { payment: string; account: string; amount?: string } {
  const data = { payment: payment.id, account: account.id };
  return units === undefined ? data : { ...data, amount: amountOf(units, account) };
}
