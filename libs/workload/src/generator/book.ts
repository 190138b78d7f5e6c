/**
 * What the generator remembers of its own writes, so that it can go on from them: a simplified book of accounts,
 * payments and orders. It never asks the system; each write's expected outcome follows from the book.
 */
const PAYMENTS_KEPT = 12;
const ORDERS_KEPT = 256;

export interface Payment {
  readonly id: string;
  readonly authorized: bigint;
  captured: bigint;
  refunded: bigint;
  released: bigint;
}

export interface Order {
  readonly id: string;
  readonly account: Account;
  readonly total: bigint;
  state: 'placed' | 'paid' | 'cancelled';
}

export interface Account {
  readonly id: string;
  readonly currency: string;
  /** What can be spent, in minor units. */
  balance: bigint;
  /** The newest payments; older ones are left as they are. */
  readonly payments: Payment[];
  /** The newest order that no payment names yet. */
  unpaid: Order | undefined;
}

export interface Book {
  /** By rank: the hottest account first. */
  readonly accounts: (Account | undefined)[];
  /** The newest orders of all accounts. */
  readonly orders: Order[];
  readonly stocked: Set<string>;
}

export function createBook(accounts: number): Book {
  return { accounts: new Array<Account | undefined>(accounts).fill(undefined), orders: [], stocked: new Set() };
}

/** Enters a payment and takes its amount from the balance. */
export function enterPayment(account: Account, id: string, { units, captured }: { units: bigint; captured: bigint }): void {
  account.balance -= units;
  account.payments.push({ id, authorized: units, captured, refunded: 0n, released: 0n });
  if (account.payments.length > PAYMENTS_KEPT) account.payments.shift();
}

export function enterOrder(book: Book, order: Order): void {
  order.account.unpaid = order;
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
