/** A load of orders, returns and transfers for a test: posted again with the same key until they are acked. */
import { toJson } from '@millrace/wire';
import { decodeReceipt, must, type Receipt, type Tenant } from '@millrace/write';
import type { TestCluster } from './cluster.ts';
import { until } from './until.ts';

export interface OrderLoad {
  /** Orders posted so far. */
  placed(): number;
  /** Begins nothing more; resolves with the receipts of all that was acked. */
  stop(): Promise<OrderReport>;
}

export interface OrderReport {
  readonly receipts: readonly Receipt[];
  /** Ids of the orders, in the order of their posts. */
  readonly orders: readonly string[];
}

export interface OrderLoadOptions {
  /** Makes the ids; one load of a run name. */
  readonly run: string;
  /** Requests under way at once. */
  readonly atOnce?: number;
  /** Between two requests of one sender, in milliseconds: leaves the machine time for the rest. */
  readonly pauseMs?: number;
}

const ACCOUNTS = 12;
const SKUS = 10;
/** Enough for some and not for all. */
const UNITS = 400;
const FUNDS = '2000.00';
const RETRY_MS = 200;

/**
 * Accounts with some money and skus with some units, then orders of two lines; now and then one of more units than
 * there are, a cancel, a return, a transfer.
 */
export async function startOrders(cluster: TestCluster, { run, atOnce = 8, pauseMs = 10 }: OrderLoadOptions): Promise<OrderLoad> {
  const receipts: Receipt[] = [];
  const orders: string[] = [];
  let over = false;
  let n = 0;

  async function post(path: string, body: unknown, idempotencyKey: string): Promise<void> {
    for (;;) {
      // Without an answer nothing is known: the same write again, under the same key.
      const answer = await cluster.call('POST', path, { body, idempotencyKey }).catch(() => undefined);
      if (answer?.status === 202) return void receipts.push(receiptOf(cluster, answer.body));
      if (answer !== undefined && answer.status !== 503 && answer.status !== 429) throw new Error(`POST ${path} was answered ${answer.status}: ${toJson(answer.body)}`);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }

  const account = (i: number): string => `${run}-a${i % ACCOUNTS}`;
  const sku = (i: number): string => `${run}-s${i % SKUS}`;

  async function next(): Promise<void> {
    const i = n++;
    const order = `${run}-o${i}`;
    const lines = [
      { sku: sku(i), quantity: i % 11 === 7 ? UNITS + 1 : 1 + (i % 3), unit_price: '1.25' },
      { sku: sku(i * 7 + 3), quantity: 1, unit_price: '3.00' },
    ];
    orders.push(order);
    await post('/v1/orders', { order, account: account(i * 5), currency: 'GBP', lines }, `o${i}`);
    if (i % 9 === 4) await post(`/v1/orders/${order}/cancel`, {}, `c${i}`);
    if (i % 7 === 2) await post(`/v1/orders/${must(orders[i >> 1], 'placed earlier')}/returns`, { lines: [{ sku: sku(i >> 1), quantity: 1 }] }, `r${i}`);
    if (i % 5 === 1) await post('/v1/transfers', { transfer: `${run}-t${i}`, from: account(i), to: account(i + 1), amount: '7.50', currency: 'GBP' }, `t${i}`);
  }

  async function sender(): Promise<void> {
    while (!over) {
      await next();
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  for (let i = 0; i < ACCOUNTS; i++) {
    await post('/v1/accounts', { account: account(i), currency: 'GBP' }, `open${i}`);
    await post(`/v1/accounts/${account(i)}/deposits`, { amount: FUNDS, currency: 'GBP' }, `fund${i}`);
  }
  for (let i = 0; i < SKUS; i++) await post(`/v1/stock/${sku(i)}/receipts`, { quantity: UNITS }, `stock${i}`);
  const senders = Array.from({ length: atOnce }, sender);
  return {
    placed: () => orders.length,
    async stop() {
      over = true;
      await Promise.all(senders);
      return { receipts, orders };
    },
  };
}

export interface SagaCount {
  readonly open: number;
  /** Rows of `hold` that still keep something. */
  readonly held: number;
  readonly confirmed: number;
  readonly undone: number;
  /** Of those that have ended, orders alone. */
  readonly orders: number;
}

/** Sagas over all shards; a slot that moves is counted where it is applied. */
export async function countSagas(cluster: TestCluster): Promise<SagaCount> {
  const counts = await Promise.all(
    cluster.local.file.shards.map(async ({ id }) => {
      const rows = await cluster.shard(id).query<{ open: bigint; held: bigint; confirmed: bigint; undone: bigint; orders: bigint }>({
        text: `
          with here as (select slot from slot where state in ('ACTIVE', 'MOVING'))
          select count(*) filter (where state in ('reserving', 'confirming', 'undoing')) as open,
                 count(*) filter (where state = 'confirmed') as confirmed,
                 count(*) filter (where state in ('rejected', 'cancelled')) as undone,
                 count(*) filter (where saga = 'order' and state in ('confirmed', 'rejected', 'cancelled')) as orders,
                 (select count(*) from hold where state = 'held' and slot in (select slot from here)) as held
          from saga where slot in (select slot from here)`,
      });
      return must(rows[0], 'a count is one row');
    }),
  );
  const sum = (of: keyof SagaCount): number => counts.reduce((all, count) => all + Number(count[of]), 0);
  return { open: sum('open'), held: sum('held'), confirmed: sum('confirmed'), undone: sum('undone'), orders: sum('orders') };
}

/** Resolves when every saga has ended, of `atLeast` so many orders. */
export async function untilSagasEnded(cluster: TestCluster, { atLeast = 0, deadlineMs = 240_000 } = {}): Promise<SagaCount> {
  return until(
    'every saga has ended',
    async () => {
      const count = await countSagas(cluster);
      return count.open === 0 && count.held === 0 && count.orders >= atLeast ? count : undefined;
    },
    { deadlineMs },
  );
}

function receiptOf(cluster: TestCluster, body: Record<string, unknown>): Receipt {
  const text = String(body['receipt']);
  return must(decodeReceipt(cluster.local.file.tenant as Tenant, text), `the receipt ${text} reads`);
}
