/**
 * The write types once more, written down as plainly as possible: what each does to the entities of a slot, or the
 * code of its refusal. It shares nothing with the domain's reducers, so that a slip there shows as a difference.
 */
import { MINOR_UNITS_MAX, parseAmount } from '@millrace/write';
import { lineText, type NewOrder, type NewPayment, type Write } from './body.ts';
import type { AccountRow, OrderRow, PaymentRow, StockRow } from './snapshot.ts';

type Changeable<Row> = { -readonly [Column in keyof Row]: Row[Column] };
type Account = Changeable<AccountRow>;
type Payment = Changeable<PaymentRow>;

/** Lines as text: see `linesText`. */
export type ModelOrder = Changeable<Omit<OrderRow, 'lines'>> & { lines: string };

/** The entities of one slot; payments are keyed by `paymentKey`. */
export interface SlotModel {
  readonly accounts: Map<string, Account>;
  readonly payments: Map<string, Payment>;
  readonly orders: Map<string, ModelOrder>;
  readonly stock: Map<string, Changeable<StockRow>>;
}

export function createSlotModel(): SlotModel {
  return { accounts: new Map(), payments: new Map(), orders: new Map(), stock: new Map() };
}

/** Neither part holds a blank. */
export function paymentKey(account: string, payment: string): string {
  return `${account} ${payment}`;
}

/** Order lines of a shard's jsonb in the text form of the model. */
export function linesText(lines: unknown): string {
  if (!Array.isArray(lines)) return String(lines);
  return (lines as readonly unknown[]).map(textOfLine).join('\n');
}

/** Applies a write to the slot; null where it was applied, else the code of its refusal, with nothing changed. */
export function applyWrite(model: SlotModel, key: string, write: Write): string | null {
  switch (write.op) {
    case 'open':
      return open(model, key, write.currency);
    case 'deposit':
      return deposit(model, key, write);
    case 'authorize':
    case 'charge':
      return pay(model, key, write);
    case 'capture':
      return capture(model, key, write);
    case 'refund':
      return refund(model, key, write);
    case 'void':
      return voidRest(model, key, write.payment);
    case 'receive':
      return receive(model, key, write.quantity);
    case 'place':
      return place(model, key, write);
    case 'cancel':
      return cancel(model, key);
  }
}

function open({ accounts }: SlotModel, key: string, currency: string): string | null {
  if (accounts.has(key)) return 'account_exists';
  accounts.set(key, { key, currency, balance: 0n, held: 0n });
  return null;
}

function deposit({ accounts }: SlotModel, key: string, { units, currency }: Money): string | null {
  const account = accounts.get(key);
  if (account === undefined) return 'unknown_account';
  if (account.currency !== currency) return 'currency_mismatch';
  if (!hasRoomFor(account, units)) return 'balance_overflow';
  account.balance += units;
  return null;
}

function pay({ accounts, payments }: SlotModel, key: string, write: NewPayment): string | null {
  const { units, currency } = write;
  const account = accounts.get(key);
  if (account === undefined) return 'unknown_account';
  if (payments.has(paymentKey(key, write.payment))) return 'payment_exists';
  if (account.currency !== currency) return 'currency_mismatch';
  if (account.balance < units) return 'insufficient_funds';
  const charged = write.op === 'charge';
  account.balance -= units;
  if (!charged) account.held += units;
  payments.set(paymentKey(key, write.payment), {
    account: key,
    payment: write.payment,
    currency,
    authorized: units,
    captured: charged ? units : 0n,
    refunded: 0n,
    released: 0n,
    orderId: write.order,
  });
  return null;
}

interface Money {
  readonly units: bigint;
  readonly currency: string;
}

interface Part {
  readonly payment: string;
  readonly amount: string | null;
}

function capture(model: SlotModel, key: string, { payment: id, amount }: Part): string | null {
  const found = findPayment(model, key, id);
  if (typeof found === 'string') return found;
  const { account, payment } = found;
  const rest = payment.authorized - payment.captured - payment.released;
  if (payment.released > 0n) return 'payment_voided';
  if (rest === 0n) return 'already_captured';
  const units = amount === null ? rest : parseAmount(amount, payment.currency);
  if (units === undefined) return 'invalid_amount';
  if (units > rest) return 'exceeds_authorized';
  account.held -= units;
  payment.captured += units;
  return null;
}

function voidRest(model: SlotModel, key: string, id: string): string | null {
  const found = findPayment(model, key, id);
  if (typeof found === 'string') return found;
  const { account, payment } = found;
  const rest = payment.authorized - payment.captured - payment.released;
  if (payment.released > 0n) return 'already_voided';
  if (rest === 0n) return 'already_captured';
  account.held -= rest;
  account.balance += rest;
  payment.released += rest;
  return null;
}

function refund(model: SlotModel, key: string, { payment: id, amount }: Part): string | null {
  const found = findPayment(model, key, id);
  if (typeof found === 'string') return found;
  const { account, payment } = found;
  const rest = payment.captured - payment.refunded;
  if (rest === 0n) return 'nothing_to_refund';
  const units = amount === null ? rest : parseAmount(amount, payment.currency);
  if (units === undefined) return 'invalid_amount';
  if (units > rest) return 'exceeds_captured';
  if (!hasRoomFor(account, units)) return 'balance_overflow';
  account.balance += units;
  payment.refunded += units;
  return null;
}

function findPayment(model: SlotModel, key: string, id: string): { account: Account; payment: Payment } | string {
  const account = model.accounts.get(key);
  if (account === undefined) return 'unknown_account';
  const payment = model.payments.get(paymentKey(key, id));
  return payment === undefined ? 'unknown_payment' : { account, payment };
}

/** What an account has in all, spendable or held, fits a bigint: so a void can never overflow. */
function hasRoomFor(account: Account, units: bigint): boolean {
  return account.balance + account.held + units <= MINOR_UNITS_MAX;
}

function receive({ stock }: SlotModel, key: string, quantity: bigint): string | null {
  const item = stock.get(key) ?? { key, onHand: 0n, reserved: 0n };
  if (item.onHand + quantity > MINOR_UNITS_MAX) return 'stock_overflow';
  item.onHand += quantity;
  stock.set(key, item);
  return null;
}

function place({ orders }: SlotModel, key: string, { account, currency, total, lines }: NewOrder): string | null {
  if (orders.has(key)) return 'order_exists';
  orders.set(key, { key, account, currency, total, lines, state: 'placed' });
  return null;
}

function cancel({ orders }: SlotModel, key: string): string | null {
  const order = orders.get(key);
  if (order === undefined) return 'unknown_order';
  if (order.state === 'cancelled') return 'already_cancelled';
  order.state = 'cancelled';
  return null;
}

function textOfLine(line: unknown): string {
  if (typeof line !== 'object' || line === null) return String(line);
  const { sku, quantity, unit_price: unitPrice, ...rest } = line as Readonly<Record<string, unknown>>;
  const extra = Object.keys(rest);
  return lineText(quantity, unitPrice, sku) + (extra.length === 0 ? '' : ` with ${extra.join(', ')}`);
}
