/** What clients ask for in a schedule: few orders, returns and transfers that meet on few accounts and skus. */
import { INTERNAL_KEY_PREFIX, MINOR_UNITS_MAX, must, type RoutingKey, type Stream } from '@millrace/write';
import type { Message } from '@millrace/domain';
import type { Random } from './random.ts';
import { TENANT } from './world.ts';

export interface OrderAsked {
  readonly order: string;
  readonly account: string;
  readonly currency: string;
  readonly lines: readonly { readonly sku: string; readonly quantity: number; readonly unit_price: string }[];
  readonly deadline_seconds: number;
}

export interface TransferAsked {
  readonly transfer: string;
  readonly from: string;
  readonly to: string;
  readonly amount: string;
  readonly currency: string;
  readonly deadline_seconds: number;
}

export interface Script {
  /** Accounts that are open and funded, and stock that is in, before anything goes wrong. */
  readonly setup: readonly Message[];
  /** Everything else, in the order in which clients think of it. */
  readonly asked: readonly Message[];
  /** So many of them, the first, place orders and transfers. */
  readonly placed: number;
  readonly orders: readonly OrderAsked[];
  readonly transfers: readonly TransferAsked[];
}

/** Yen have no digits behind the point: amounts are whole numbers. `x` is an account, a sku, an order and a transfer. */
const CURRENCY = 'JPY';
const OTHER_CURRENCY = 'GBP';
const ACCOUNTS = ['x', 'b'] as const;
/** In some schedules it has all that a balance can express: what is paid in finds no room. */
const FULL = ACCOUNTS[1];
const FOREIGN = 'g';
const UNKNOWN = 'u';
const SKUS = ['x', 'y'] as const;
const NEVER_CAME_IN = 'n';
const ORDERS = ['x', 'o2', 'o3'] as const;
const TRANSFERS = ['x', 't2'] as const;
const DEADLINES = [1, 5, 30] as const;

export function createScript(random: Random): Script {
  let count = 0;
  const write = (type: string, id: string, data: object): Message => message('writes', id, { type, data, idempotencyKey: `client-${count++}` });
  const deposit = (account: string, amount: number | bigint) => write('account.deposit', account, { account, amount: String(amount), currency: CURRENCY });
  const receive = (sku: string, quantity: number) => write('stock.receive', sku, { sku, quantity });

  const orders = ORDERS.slice(0, 1 + random.below(ORDERS.length)).map((order) => drawOrder(random, order));
  const transfers = TRANSFERS.slice(0, random.below(TRANSFERS.length + 1)).map((transfer) => drawTransfer(random, transfer));
  const isFull = random.oneIn(6);
  const setup = [
    ...ACCOUNTS.flatMap((account) => [write('account.open', account, { account, currency: CURRENCY }), deposit(account, account === FULL && isFull ? MINOR_UNITS_MAX : 5 + random.below(80))]),
    write('account.open', FOREIGN, { account: FOREIGN, currency: OTHER_CURRENCY }),
    ...SKUS.flatMap((sku) => (random.oneIn(6) ? [] : [receive(sku, 3 + random.below(12))])),
  ];
  const placed = [...orders.map((order) => write('order.place', order.order, order)), ...transfers.map((transfer) => write('transfer.place', transfer.transfer, transfer))];
  const later = [
    ...orders.flatMap(({ order }) => (random.oneIn(6) ? [write('order.cancel', order, { order })] : [])),
    ...orders.flatMap((order) => Array.from({ length: random.below(4) }, (_, index) => write('order.return', order.order, drawReturn(random, order, index)))),
    ...(random.oneIn(2) ? [deposit(random.pick(ACCOUNTS), 1 + random.below(20))] : []),
    ...(random.oneIn(2) ? [receive(random.pick(SKUS), 1 + random.below(3))] : []),
  ];
  return { setup, asked: [...shuffled(random, placed), ...shuffled(random, later)], placed: placed.length, orders, transfers };
}

/** Has what is open sent again. */
export function retryOf(key: RoutingKey, saga: string, count: number): Message {
  return { stream: 'sagas', key, type: 'saga.retry', idempotencyKey: `${INTERNAL_KEY_PREFIX}operator/${count}`, data: { saga } };
}

export function cancelOf(key: RoutingKey, saga: string, count: number): Message {
  return { stream: 'sagas', key, type: 'saga.cancel', idempotencyKey: `${INTERNAL_KEY_PREFIX}operator/${count}`, data: { saga, by: 'operator' } };
}

function drawOrder(random: Random, order: string): OrderAsked {
  const account = random.oneIn(12) ? random.pick([FOREIGN, UNKNOWN]) : random.pick(ACCOUNTS);
  const lines = Array.from({ length: 1 + random.below(3) }, () => ({
    sku: random.oneIn(16) ? NEVER_CAME_IN : random.oneIn(3) ? random.pick(SKUS) : SKUS[0],
    quantity: 1 + random.below(3),
    unit_price: String(random.below(9)),
  }));
  return { order, account, currency: CURRENCY, lines, deadline_seconds: random.pick(DEADLINES) };
}

function drawTransfer(random: Random, transfer: string): TransferAsked {
  const [from, to] = random.oneIn(2) ? ACCOUNTS : ([ACCOUNTS[1], ACCOUNTS[0]] as const);
  return { transfer, from, to: random.oneIn(8) ? random.pick([FOREIGN, UNKNOWN]) : to, amount: String(1 + random.below(30)), currency: CURRENCY, deadline_seconds: random.pick(DEADLINES) };
}

/** Mostly of what was bought; two of the same id now and then. */
function drawReturn(random: Random, { order, lines }: OrderAsked, index: number): object {
  const { sku, quantity } = random.pick(lines);
  const other = random.oneIn(3) ? [{ sku: random.pick(lines).sku, quantity: 1 }] : [];
  const name = random.oneIn(3) ? {} : { return: `r${random.oneIn(5) ? 0 : index}` };
  return { order, ...name, lines: [{ sku, quantity: 1 + random.below(quantity) }, ...other] };
}

function message(stream: Stream, id: string, rest: Pick<Message, 'type' | 'data' | 'idempotencyKey'>): Message {
  return { stream, key: `${TENANT}/${id}` as RoutingKey, ...rest };
}

/** Fisher and Yates. */
function shuffled<T>(random: Random, all: readonly T[]): readonly T[] {
  const left = [...all];
  return all.map(() => must(left.splice(random.below(left.length), 1)[0], 'as many are left'));
}
