/** Returns of orders, in parts: of what was bought, of more than that, and of orders that never came about. */
import type { BoughtLine, Order } from './book.ts';
import { isSure } from './book.ts';
import type { Action, Draft, Scene } from './scene.ts';

/** A part of what is left of an order, or all of it. */
export const giveBack: Action = (scene) => {
  const { random } = scene;
  const order = pickOrder(scene, (each) => isSure(each) && each.lines.some(({ left }) => left > 0));
  if (!order) return [];
  const whole = random.chance(0.2);
  const lines = order.lines.filter(({ left }) => left > 0 && (whole || random.chance(0.5)));
  const parts = lines.map((line) => ({ line, quantity: whole ? line.left : 1 + random.below(line.left) }));
  if (parts.length === 0) return [];
  for (const { line, quantity } of parts) line.left -= quantity;
  const id = random.chance(0.5) ? scene.newId('ret') : undefined;
  if (id !== undefined) order.returns.push(id);
  return [returnOf(order, parts.map(({ line, quantity }) => ({ sku: line.sku, quantity })), 'confirmed', id)];
};

/** One unit more than is left. */
export const giveBackTooMany: Action = (scene) => {
  const order = pickOrder(scene, isSure);
  const line = order && scene.random.pick(order.lines);
  return line ? [returnOf(order, [{ sku: line.sku, quantity: line.left + 1 }], 'exceeds_bought')] : [];
};

export const giveBackForeign: Action = (scene) => {
  const order = pickOrder(scene, isSure);
  return order ? [returnOf(order, [{ sku: scene.newId('foreign'), quantity: 1 }], 'unknown_line')] : [];
};

export const giveBackUnsold: Action = (scene) => {
  const order = pickOrder(scene, ({ as }) => !as.includes('confirmed'));
  const line = order?.lines[0];
  return line ? [returnOf(order, [{ sku: line.sku, quantity: 1 }], 'not_confirmed')] : [];
};

export const giveBackTwice: Action = (scene) => {
  const order = pickOrder(scene, ({ returns }) => returns.length > 0);
  const line = order?.lines[0];
  return line ? [returnOf(order, [{ sku: line.sku, quantity: 1 }], 'return_exists', order.returns[0])] : [];
};

/** From the older half, which has ended more likely: what waits for an order takes room in the driver's window. */
function pickOrder({ random, book }: Scene, fits: (order: Order) => boolean): Order | undefined {
  const half = Math.ceil(book.orders.length / 2);
  if (half === 0) return undefined;
  const from = random.below(half);
  return book.orders.slice(from, half).find(fits) ?? book.orders.slice(0, from).find(fits);
}

function returnOf(order: Order, lines: readonly Pick<BoughtLine & { quantity: number }, 'sku' | 'quantity'>[], answer: string, id?: string): Draft {
  const data = { order: order.id, ...(id === undefined ? {} : { return: id }), lines };
  return { body: { type: 'order.return', data }, onceEnded: { order: order.id, as: order.as }, answers: [answer] };
}
