/**
 * Peer: an order as a durable workflow of DBOS, three steps over two databases: funds, stock, confirm; where a step is
 * refused, a fourth gives back what was held. So many workflows run at once, each starting as another ends.
 *
 * It is spared what Millrace does besides: HTTP, validation, a log, and a process that may die without the others.
 */
import { DBOS } from '@dbos-inc/dbos-sdk';
import pg from 'pg';
import { orderOf, shardOf, type Order, type Shard } from '../orders.ts';
import { confirm, holdFunds, holdStock, release } from './order-tables.ts';
import { optionsOf, say } from './say.ts';

export interface DbosOptions {
  readonly shards: Readonly<Record<Shard, string>>;
  readonly systemUrl: string;
  readonly concurrency: number;
  readonly systemPool: number;
  readonly shardPool: number;
  readonly warmup: number;
  readonly orders: number;
}

/** What a step does again, as the documentation asks of steps that talk to something that may be away. */
const RETRIES = { retriesAllowed: true, intervalSeconds: 1, maxAttempts: 10 };

const { shards, systemUrl, concurrency, systemPool, shardPool, warmup, orders } = optionsOf<DbosOptions>();
const pools: Readonly<Record<Shard, pg.Pool>> = { a: poolOf(shards.a), b: poolOf(shards.b) };

const placeOrder = DBOS.registerWorkflow(
  async (order: Order): Promise<'confirmed' | 'rejected'> => {
    if (!(await DBOS.runStep(() => reserveFunds(order), { name: 'reserveFunds', ...RETRIES }))) return 'rejected';
    if (!(await DBOS.runStep(() => reserveStock(order), { name: 'reserveStock', ...RETRIES }))) {
      await DBOS.runStep(() => settle(order, release), { name: 'release', ...RETRIES });
      return 'rejected';
    }
    await DBOS.runStep(() => settle(order, confirm), { name: 'confirm', ...RETRIES });
    return 'confirmed';
  },
  { name: 'placeOrder' },
);

DBOS.setConfig({ name: 'orders-peer', applicationVersion: '1', systemDatabaseUrl: systemUrl, systemDatabasePoolSize: systemPool, logLevel: 'error' });
await DBOS.launch();
await runOrders('w00', warmup);
say('running');
const startedAt = performance.now();
await runOrders('r00', orders);
say('done', { orders, seconds: (performance.now() - startedAt) / 1000 });
await DBOS.shutdown();
process.exit(0);

async function runOrders(run: string, count: number): Promise<void> {
  let next = 0;
  const runner = async () => {
    while (next < count) await runOne(orderOf({ run }, next++));
  };
  await Promise.all(Array.from({ length: concurrency }, runner));
}

async function runOne(order: Order): Promise<void> {
  const handle = await DBOS.startWorkflow(placeOrder, { workflowID: order.order })(order);
  const end = await handle.getResult();
  if (end !== 'confirmed') throw new Error(`order ${order.order} is ${end}`);
}

function reserveFunds({ order, account, lines }: Order): Promise<boolean> {
  const total = lines.reduce((sum, { quantity, unit_price: price }) => sum + quantity * Math.round(Number(price) * 100), 0);
  return holdFunds(pools[shardOf(account)], { order, id: account, units: total });
}

async function reserveStock({ order, lines }: Order): Promise<boolean> {
  const held = await Promise.all(lines.map(({ sku, quantity }) => holdStock(pools[shardOf(sku)], { order, id: sku, units: quantity })));
  return held.every(Boolean);
}

/** One statement a database. */
async function settle({ order, account, lines }: Order, how: typeof confirm): Promise<void> {
  const touched = new Set([account, ...lines.map(({ sku }) => sku)].map(shardOf));
  await Promise.all([...touched].map((shard) => how(pools[shard], order)));
}

function poolOf(url: string): pg.Pool {
  return new pg.Pool({ connectionString: url, max: shardPool });
}
