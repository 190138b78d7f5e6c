/**
 * Orders across shards: those that are confirmed in any case, those that must be undone, those whose end is a matter of
 * timing, and cancels of them.
 */
import { formatAmount } from '@millrace/write';
import type { OrderEnd } from '../write.ts';
import { type Order, enterOrder } from './book.ts';
import { type Action, BEYOND_MEANS, type Draft, type Scene, delivery, funding, randomAmount } from './scene.ts';

const ORDER_LINES = 5;
const LINE_QUANTITY_MAX = 12;
/** A sku of a few units that many want at once. */
const LIMITED_ORDERS = 40;
const LIMITED_UNITS = 30;
const LIMITED_QUANTITY_MAX = 3;
const RARE_UNITS_MAX = 5;
/** A deadline that some orders meet and others miss, by the load. */
const TIGHT_DEADLINE_SECONDS = 1;

interface Line {
  readonly sku: string;
  readonly quantity: number;
  /** Minor units of the unit price. */
  readonly units: bigint;
}

/** How an order is to end, and what its saga then answers. */
interface Fate {
  readonly as: readonly OrderEnd[];
  readonly answers: readonly string[];
  readonly deadlineSeconds?: number;
}

const CONFIRMED: Fate = { as: ['confirmed'], answers: ['confirmed'] };

/** An order of what is there, by an account that can pay it. */
export const place: Action = (scene) => covered(scene, linesOf(scene), CONFIRMED);

/** Its stock and its money are there, but the time may not suffice. */
export const placeInHaste: Action = (scene) =>
  covered(scene, linesOf(scene), { as: ['confirmed', 'rejected'], answers: ['confirmed', 'deadline_passed'], deadlineSeconds: TIGHT_DEADLINE_SECONDS });

/** More units than ever came in, among lines that are there: those are kept, and given back. */
export const placeTooMany: Action = (scene) => {
  const { random, newId } = scene;
  const sku = newId('rare');
  const received = random.chance(0.7) ? 1 + random.below(RARE_UNITS_MAX) : 0;
  const receipts: readonly Draft[] = received > 0 ? [{ body: { type: 'stock.receive', data: { sku, quantity: received } } }] : [];
  const rare = { ...line(scene, sku), quantity: received + 1 + random.below(LINE_QUANTITY_MAX) };
  return [...receipts, ...covered(scene, [...linesOf(scene), rare], rejectedFor('insufficient_stock'), sku)];
};

/** Dearer than all that the account will ever have: its hold comes at any time after this. */
export const placeTooDear: Action = (scene) => {
  const [first, ...others] = linesOf(scene);
  if (!first) return [];
  const lines = [{ ...first, units: BEYOND_MEANS }, ...others];
  return [...stocking(scene, lines), order(scene, lines, rejectedFor('insufficient_funds'))];
};

export const placeOnNobody: Action = (scene) => {
  const lines = linesOf(scene);
  return [...stocking(scene, lines), order(scene, lines, rejectedFor('unknown_account'), { account: scene.newId('nobody') })];
};

export const placeInOtherCurrency: Action = (scene) => {
  const lines = linesOf(scene).map((each) => ({ ...each, units: 1n }));
  const currency = scene.account.currency === 'USD' ? 'EUR' : 'USD';
  return [...stocking(scene, lines), order(scene, lines, rejectedFor('currency_mismatch'), { currency })];
};

/** One of many that want the few units of one sku: who comes first gets them. */
export const placeLimited: Action = (scene) => {
  const { random, book, run } = scene;
  const sku = `limited-${run}-${Math.floor(book.limitedOrders++ / LIMITED_ORDERS)}`;
  const isNew = (book.limitedOrders - 1) % LIMITED_ORDERS === 0;
  const receipts: readonly Draft[] = isNew ? [{ body: { type: 'stock.receive', data: { sku, quantity: LIMITED_UNITS } } }] : [];
  const lines = [{ ...line(scene, sku), quantity: 1 + random.below(LIMITED_QUANTITY_MAX) }];
  const fate: Fate = { as: ['confirmed', 'rejected'], answers: ['confirmed', 'insufficient_stock'] };
  return [...receipts, ...covered(scene, lines, fate, sku)];
};

/** An order that its customer cancels, mostly in the same breath: in time, or too late. */
export const placeAndCancel: Action = (scene) => {
  const { random, book } = scene;
  const drafts = covered(scene, linesOf(scene), { as: ['confirmed', 'cancelled'], answers: ['confirmed', 'cancelled_by_client'] });
  const placed = book.orders.at(-1);
  return placed && random.chance(0.7) ? [...drafts, cancelOf(placed, ['cancelling', 'too_late'])] : drafts;
};

/** Some time afterwards, perhaps not for the first time. */
export const cancel: Action = ({ book }) => {
  const order = book.orders.findLast(({ as }) => as.includes('cancelled'));
  return order ? [cancelOf(order, ['cancelling', 'too_late', 'already_cancelled'])] : [];
};

/** Once it has ended it is too late, or there is nothing left to cancel. */
export const cancelLate: Action = ({ random, book }) => {
  if (book.orders.length === 0) return [];
  const order = random.pick(book.orders);
  const answers = order.as.map((state) => (state === 'confirmed' ? 'too_late' : `already_${state}`));
  return [{ ...cancelOf(order, answers), onceEnded: { order: order.id, as: order.as } }];
};

/** The drafts of an order whose account and stock suffice, but for the sku that is left out. */
function covered(scene: Scene, lines: readonly Line[], fate: Fate, except?: string): readonly Draft[] {
  const total = totalOf(lines);
  const drafts = [...stocking(scene, lines, except), ...funding(scene, total)];
  scene.account.least -= total;
  return [...drafts, order(scene, lines, fate)];
}

/** The receipts without which stock may lack; what the lines take leaves the bound. */
function stocking(scene: Scene, lines: readonly Line[], except?: string): readonly Draft[] {
  const { stock } = scene.book;
  const drafts: Draft[] = [];
  for (const { sku, left: wanted } of boughtOf(lines)) {
    if (sku === except) continue;
    const lacking = wanted - (stock.get(sku) ?? 0);
    if (lacking > 0) drafts.push(delivery(scene, sku, lacking));
    stock.set(sku, (stock.get(sku) ?? 0) - wanted);
  }
  return drafts;
}

function order(scene: Scene, lines: readonly Line[], { as, answers, deadlineSeconds }: Fate, other: { account?: string; currency?: string } = {}): Draft {
  const { book, account, newId } = scene;
  const { account: payer = account.id, currency = account.currency } = other;
  const id = newId('ord');
  const bought = boughtOf(lines);
  enterOrder(book, { id, lines: bought, as, returns: [] });
  const wireLines = lines.map(({ sku, quantity, units }) => ({ sku, quantity, unit_price: formatAmount(units, currency) }));
  const deadline = deadlineSeconds === undefined ? {} : { deadline_seconds: deadlineSeconds };
  const data = { order: id, account: payer, currency, lines: wireLines, ...deadline };
  return { body: { type: 'order.place', data }, after: [payer, ...bought.map(({ sku }) => sku)], answers };
}

function cancelOf({ id }: Order, answers: readonly string[]): Draft {
  return { body: { type: 'order.cancel', data: { order: id } }, answers };
}

function rejectedFor(code: string): Fate {
  return { as: ['rejected'], answers: [code] };
}

/** Lines over skus, hot and cold; a sku may stand in several. */
function linesOf(scene: Scene): Line[] {
  return Array.from({ length: 1 + scene.random.below(ORDER_LINES) }, () => line(scene, scene.pickSku()));
}

function line({ random, account }: Scene, sku: string): Line {
  const units = randomAmount(random, account.currency) / 20n;
  return { sku, quantity: 1 + random.below(LINE_QUANTITY_MAX), units };
}

function boughtOf(lines: readonly Line[]): { sku: string; left: number }[] {
  const units = new Map<string, number>();
  for (const { sku, quantity } of lines) units.set(sku, (units.get(sku) ?? 0) + quantity);
  return [...units].map(([sku, left]) => ({ sku, left }));
}

function totalOf(lines: readonly Line[]): bigint {
  return lines.reduce((sum, { units, quantity }) => sum + units * BigInt(quantity), 0n);
}
