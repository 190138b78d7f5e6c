/**
 * What the generator remembers of its own writes, so that it can go on from them: a simplified book of accounts,
 * payments, stock and orders. It never asks the system; each write's expected outcome follows from the book.
 *
 * When an order or a transfer takes effect, and which of two that want the same units comes first, depends on timing.
 * So the book keeps bounds: G4 whatever the timing, an account has at least `least` and at most `most` to spend, and of
 * a stock code at least `stock` units are on hand. What one of them may take, or may keep for a while, leaves the lower
 * bound for good.
 */
import type { OrderEnd } from '../write.ts';

const PAYMENTS_KEPT = 12;
const ORDERS_KEPT = 1_024;

export interface Payment {
  readonly id: string;
  readonly authorized: bigint;
  captured: bigint;
  refunded: bigint;
  released: bigint;
}

export interface BoughtLine {
  readonly sku: string;
  /** Units that are not returned yet, of all lines of the sku. */
  left: number;
}

export interface Order {
  readonly id: string;
  readonly lines: readonly BoughtLine[];
  /** How it may end. */
  readonly as: readonly OrderEnd[];
  /** The returns that were asked for. */
  readonly returns: string[];
}

export interface Account {
  readonly id: string;
  readonly currency: string;
  /** What can be spent at least, in minor units. */
  least: bigint;
  /** What can be spent at most. */
  most: bigint;
  /** The newest payments; older ones are left as they are. */
  readonly payments: Payment[];
}

export interface Book {
  /** By rank: the hottest account first. */
  readonly accounts: (Account | undefined)[];
  /** The newest orders of all accounts. */
  readonly orders: Order[];
  /** Orders of limited skus so far. */
  limitedOrders: number;
  /** The id of the newest transfer. */
  lastTransfer: string | undefined;
  /** Units on hand at least, by stock code: of what this run received itself. */
  readonly stock: Map<string, number>;
}

export function createBook(accounts: number): Book {
  return { accounts: new Array<Account | undefined>(accounts).fill(undefined), orders: [], limitedOrders: 0, lastTransfer: undefined, stock: new Map() };
}

/** Money that comes in, or back, with the write itself. */
export function enterFunds(account: Account, units: bigint): void {
  account.least += units;
  account.most += units;
}

/** Enters a payment and takes its amount from the balance. */
export function enterPayment(account: Account, id: string, { units, captured }: { units: bigint; captured: bigint }): void {
  enterFunds(account, -units);
  account.payments.push({ id, authorized: units, captured, refunded: 0n, released: 0n });
  if (account.payments.length > PAYMENTS_KEPT) account.payments.shift();
}

export function enterOrder(book: Book, order: Order): void {
  book.orders.push(order);
  if (book.orders.length > ORDERS_KEPT) book.orders.shift();
}

/** What can still be captured. */
export function leftToCapture({ authorized, captured, released }: Payment): bigint {
  return authorized - captured - released;
}

/** What can still be refunded. */
export function leftToRefund({ captured, refunded }: Payment): bigint {
  return captured - refunded;
}

/** True of an order that ends confirmed whatever the timing. */
export function isSure({ as }: Order): boolean {
  return as.length === 1 && as[0] === 'confirmed';
}
