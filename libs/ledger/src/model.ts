/**
 * The write types once more, written down as plainly as possible: what each does to the entities of a slot, or the
 * code of its refusal. It shares nothing with the domain's reducers, so that a slip there shows as a difference.
 */
import type { WriteEnvelope } from '@millrace/wire';
import { formatAmount, INTERNAL_KEY_PREFIX, MINOR_UNITS_MAX, parseAmount, tenantOf } from '@millrace/write';
import { lineText, readBody, type NewOrder, type NewPayment, type NewReturn, type NewTransfer, type Write } from './body.ts';
import { applyCommand } from './holds.ts';
import type { Message } from './message.ts';
import type { Answer, Place, StreamRules } from './rules.ts';
import type { AccountRow, HoldRow, OrderRow, PaymentRow, StockRow } from './snapshot.ts';
import { createTally, type Tally } from './tally.ts';

type Changeable<Row> = { -readonly [Column in keyof Row]: Row[Column] };
export type Account = Changeable<AccountRow>;
export type Stock = Changeable<StockRow>;
type Payment = Changeable<PaymentRow>;

/** Lines as text: see `linesText`. */
export type ModelOrder = Changeable<Omit<OrderRow, 'lines'>> & { lines: string };

/** The entities of one slot; payments are keyed by `paymentKey`. */
export interface SlotModel {
  readonly accounts: Map<string, Account>;
  readonly payments: Map<string, Payment>;
  readonly orders: Map<string, ModelOrder>;
  readonly stock: Map<string, Stock>;
  /** By `holdName`. */
  readonly holds: Map<string, Changeable<HoldRow>>;
  /** What came in and went out for good, sagas left aside. */
  readonly tally: Tally;
  /** Returns and transfers that were sent to their sagas: each is to have an answer there. */
  readonly sent: SentStart[];
}

export interface SentStart {
  readonly of: 'returns' | 'transfers';
  readonly key: string;
  /** Of the write. */
  readonly offset: bigint;
}

export function createSlotModel(): SlotModel {
  return { accounts: new Map(), payments: new Map(), orders: new Map(), stock: new Map(), holds: new Map(), tally: createTally(), sent: [] };
}

/** The stream `writes` over a model. */
export function writesRules(model: SlotModel): StreamRules {
  return {
    stream: 'writes',
    read({ type, data, idempotencyKey }: WriteEnvelope, key) {
      const write = readBody(type, data, idempotencyKey);
      if (write === undefined || key !== `${tenantOf(key)}/${write.id}`) return undefined;
      return (at) => applyWrite(model, at, write);
    },
  };
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

/** Applies a write to the slot; a refusal changes nothing. */
function applyWrite(model: SlotModel, at: Place, write: Write): Answer | 'parked' {
  switch (write.op) {
    case 'hold':
    case 'confirm':
    case 'release':
      return applyCommand(model, at.key, write);
    case 'place':
      return place(model, at, write);
    case 'cancel':
      return cancel(model, at);
    case 'return':
      return giveBack(model, at, write);
    case 'transfer':
      return transfer(model, at, write);
    default:
      return { code: applyPlain(model, at.key, write) };
  }
}

type Plain = Exclude<Write, { readonly op: 'hold' | 'confirm' | 'release' | 'place' | 'cancel' | 'return' | 'transfer' }>;

/** A write that is over where it stands: null where it was applied, else the code of its refusal. */
function applyPlain(model: SlotModel, key: string, write: Plain): string | null {
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
  }
}

function open({ accounts }: SlotModel, key: string, currency: string): string | null {
  if (accounts.has(key)) return 'account_exists';
  accounts.set(key, { key, currency, balance: 0n, held: 0n, incoming: 0n });
  return null;
}

function deposit({ accounts, tally }: SlotModel, key: string, { units, currency }: Money): string | null {
  const account = accounts.get(key);
  if (account === undefined) return 'unknown_account';
  if (account.currency !== currency) return 'currency_mismatch';
  if (!hasRoomFor(account, units)) return 'balance_overflow';
  account.balance += units;
  tally.pay(currency, units);
  return null;
}

function pay({ accounts, payments, tally }: SlotModel, key: string, write: NewPayment): string | null {
  const { units, currency } = write;
  const account = accounts.get(key);
  if (account === undefined) return 'unknown_account';
  if (payments.has(paymentKey(key, write.payment))) return 'payment_exists';
  if (account.currency !== currency) return 'currency_mismatch';
  if (account.balance < units) return 'insufficient_funds';
  const charged = write.op === 'charge';
  account.balance -= units;
  if (charged) tally.pay(currency, -units);
  else account.held += units;
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
  model.tally.pay(payment.currency, -units);
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
  model.tally.pay(payment.currency, units);
  return null;
}

function findPayment(model: SlotModel, key: string, id: string): { account: Account; payment: Payment } | string {
  const account = model.accounts.get(key);
  if (account === undefined) return 'unknown_account';
  const payment = model.payments.get(paymentKey(key, id));
  return payment === undefined ? 'unknown_payment' : { account, payment };
}

/** What an account has in all, spendable, held or promised, fits a bigint: so no void and no confirmation can overflow. */
function hasRoomFor(account: Account, units: bigint): boolean {
  return account.balance + account.held + account.incoming + units <= MINOR_UNITS_MAX;
}

function receive({ stock, tally }: SlotModel, key: string, quantity: bigint): string | null {
  const item = stock.get(key) ?? { key, onHand: 0n, reserved: 0n, incoming: 0n };
  if (item.onHand + item.reserved + item.incoming + quantity > MINOR_UNITS_MAX) return 'stock_overflow';
  item.onHand += quantity;
  stock.set(key, item);
  tally.stock += quantity;
  return null;
}

function place({ orders }: SlotModel, at: Place, { account, currency, total, lines, deadlineSeconds }: NewOrder): Answer {
  if (orders.has(at.key)) return { code: 'order_exists' };
  orders.set(at.key, { key: at.key, account, currency, total, lines });
  const stock = [...unitsBySku(linesOf(lines))].map(([sku, quantity]) => ({ sku, quantity }));
  const start = { account, currency, total: formatAmount(total, currency), stock, deadline_seconds: deadlineSeconds };
  return { code: null, messages: [toSaga(at, 'order.start', start)] };
}

function cancel({ orders }: SlotModel, at: Place): Answer {
  if (!orders.has(at.key)) return { code: 'unknown_order' };
  return { code: null, messages: [toSaga(at, 'saga.cancel', { saga: 'order', by: 'client' })] };
}

function giveBack({ orders, sent }: SlotModel, at: Place, { name, lines }: NewReturn): Answer {
  const order = orders.get(at.key);
  if (order === undefined) return { code: 'unknown_order' };
  const own = name ?? `auto-${at.offset}`;
  const { account, currency } = order;
  sent.push({ of: 'returns', key: at.key, offset: at.offset });
  return { code: null, facts: { return: own }, messages: [toSaga(at, 'return.start', { return: own, lines, order: { account, currency, lines: linesOf(order.lines) } })] };
}

function transfer({ sent }: SlotModel, at: Place, { from, to, units, currency, deadlineSeconds }: NewTransfer): Answer {
  sent.push({ of: 'transfers', key: at.key, offset: at.offset });
  return { code: null, messages: [toSaga(at, 'transfer.start', { from, to, amount: formatAmount(units, currency), currency, deadline_seconds: deadlineSeconds })] };
}

/** To the saga of the write's own key. The idempotency key says from where, so that the answer can be found. */
function toSaga(at: Place, type: string, data: object): Message {
  return { stream: 'sagas', key: at.key, type, idempotencyKey: startKey(at.offset), data };
}

/** The idempotency key of what a write sends to its saga. */
export function startKey(offset: bigint): string {
  return `${INTERNAL_KEY_PREFIX}from/${offset}`;
}

/** The lines again that `lineText` wrote. */
function linesOf(text: string): readonly { readonly sku: string; readonly quantity: number; readonly unit_price: string }[] {
  return text.split('\n').map((line) => {
    const [quantity, , price, , sku] = line.split(' ');
    return { sku: String(sku), quantity: Number(quantity), unit_price: String(price) };
  });
}

/** In the order in which they come first. */
function unitsBySku(lines: readonly { readonly sku: string; readonly quantity: number }[]): ReadonlyMap<string, number> {
  const units = new Map<string, number>();
  for (const { sku, quantity } of lines) units.set(sku, (units.get(sku) ?? 0) + quantity);
  return units;
}

function textOfLine(line: unknown): string {
  if (typeof line !== 'object' || line === null) return String(line);
  const { sku, quantity, unit_price: unitPrice, ...rest } = line as Readonly<Record<string, unknown>>;
  const extra = Object.keys(rest);
  return lineText(quantity, unitPrice, sku) + (extra.length === 0 ? '' : ` with ${extra.join(', ')}`);
}
