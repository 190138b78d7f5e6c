/**
 * The orders that every side is measured with: an account and two stock lines each, one line on each of two shards.
 *
 * Order `n` of a run is always the same. Accounts are funded and skus stocked so that every order can be confirmed.
 */
import { slotOf, spread } from '@millrace/ring';
import { encodeWrite } from '@millrace/wire';
import type { ShardId } from '@millrace/write';
import { accountOf, CURRENCY, recordKeyOf } from './writes.ts';

export const ORDER_SLOTS = 64;
export const SHARDS = ['a', 'b'] as const;
export type Shard = (typeof SHARDS)[number];

/** As many as accounts, wanted evenly: no sku is hot where nothing else is asked for. */
const SKUS = 10_000;
/** Units of each sku at first: enough for the longest run, also where half of it wants one. */
const UNITS = 1_000_000_000;
const UNIT_PRICE = '4.25';
/** Visits all skus of a shard before it repeats one; another step than the accounts have. */
const SKU_STEP = 3_571;
const NUMBER_DIGITS = 9;

/** What tells runs of orders apart. */
export interface OrderRun {
  /** Runs on the same installation have different names. */
  readonly run: string;
  /** Every other order wants one and the same sku on its first line. */
  readonly hot?: boolean;
  /** Only orders whose own key is on this shard. */
  readonly on?: Shard;
  readonly deadlineSeconds?: number;
}

export interface Order {
  readonly order: string;
  readonly account: string;
  readonly currency: string;
  readonly lines: readonly [OrderLine, OrderLine];
  readonly deadline_seconds?: number;
}

export interface OrderLine {
  readonly sku: string;
  readonly quantity: number;
  readonly unit_price: string;
}

/** The shard of each slot, for as long as none has moved. */
export const ORDER_OWNERS = spread(ORDER_SLOTS, SHARDS.map((shard) => shard as string as ShardId));
const skus = Array.from({ length: SKUS }, (_, index) => `sku-${String(index).padStart(5, '0')}`);
const skusOn: Readonly<Record<Shard, readonly string[]>> = { a: skus.filter((sku) => shardOf(sku) === 'a'), b: skus.filter((sku) => shardOf(sku) === 'b') };

/** The shard of an account, a sku or an order, for as long as no slot has moved. */
export function shardOf(id: string): Shard {
  return ORDER_OWNERS[slotOf(recordKeyOf(id), ORDER_SLOTS)] === 'a' ? 'a' : 'b';
}

export function orderOf({ run, hot = false, deadlineSeconds }: OrderRun, n: number): Order {
  const first = hot && n % 2 === 0 ? skuOn('a', 0) : skuOn('a', n);
  return {
    order: orderName(run, n),
    account: accountOf(n),
    currency: CURRENCY,
    lines: [lineOf(first), lineOf(skuOn('b', n))],
    ...(deadlineSeconds === undefined ? {} : { deadline_seconds: deadlineSeconds }),
  };
}

/** The numbers of the first `count` orders of a run, without end where no count is given. */
export function* orderNumbers({ run, on }: OrderRun, count = Number.POSITIVE_INFINITY): Iterable<number> {
  for (let n = 0, found = 0; found < count; n++) {
    if (on !== undefined && shardOf(orderName(run, n)) !== on) continue;
    found += 1;
    yield n;
  }
}

/** The number of an order by its name; undefined where it is of another run. */
export function orderNumber(run: string, order: string): number | undefined {
  const prefix = `ord-${run}-`;
  return order.startsWith(prefix) ? Number(order.slice(prefix.length)) : undefined;
}

/** Parts of an order whose participant is on the shard: what waits while it is down. */
export function partsOn(shard: Shard, { account, lines }: Order): number {
  return [account, ...lines.map(({ sku }) => sku)].filter((id) => shardOf(id) === shard).length;
}

export function postOrder({ port, apiKey }: { readonly port: number; readonly apiKey: string }, order: Order): string {
  const body = JSON.stringify(order);
  return (
    `POST /v1/orders HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${apiKey}\r\n` +
    `Idempotency-Key: place-${order.order}\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${body.length}\r\n\r\n${body}`
  );
}

/** The records that bring every sku in. */
export function* stockRecords(): Iterable<{ readonly key: string; readonly value: string }> {
  for (const sku of skus) {
    yield { key: recordKeyOf(sku), value: encodeWrite({ type: 'stock.receive', idempotencyKey: `receive-${sku}`, data: { sku, quantity: UNITS } }) };
  }
}

/** Every sku with its first units, as a peer puts them in. */
export function stocked(shard: Shard): readonly { readonly id: string; readonly units: number }[] {
  return skusOn[shard].map((id) => ({ id, units: UNITS }));
}

function skuOn(shard: Shard, n: number): string {
  const all = skusOn[shard];
  return all[(n * SKU_STEP) % all.length]!;
}

function lineOf(sku: string): OrderLine {
  return { sku, quantity: 1, unit_price: UNIT_PRICE };
}

function orderName(run: string, n: number): string {
  return `ord-${run}-${String(n).padStart(NUMBER_DIGITS, '0')}`;
}
