/** The workflow peer as a side of a benchmark: fresh databases, filled, then so many orders. */
import type { Bench } from '../harness/bench.ts';
import { nodeProgram } from '../harness/children.ts';
import { ordersOf } from '../harness/orders.ts';
import { checkpoint, createDatabase, query, withClients } from '../harness/postgres.ts';
import type { Measure, Side } from '../harness/rounds.ts';
import { cpuSecondsOf } from '../harness/usage.ts';
import { SHARDS, shardOf, stocked, type Shard } from '../orders.ts';
import { accountName, ACCOUNTS, FUNDS } from '../writes.ts';
import { CREATE_ORDER_TABLES } from './order-tables.ts';

/** It is so much slower that a fifth of the orders tells as much. */
export const PEER_SHARE = 0.2;
const WARMUP_SHARE = 0.1;
const SYSTEM_POOL = 20;
const SHARD_POOL = 16;

/** DBOS with so many workflows at once. */
export function dbosOrders(bench: Bench, concurrency: number): Side {
  return { name: `dbos-${concurrency}`, measure: () => measure(bench, concurrency) };
}

async function measure({ children, servers, ...bench }: Bench, concurrency: number): Promise<Measure> {
  const shards = await filledShards(servers.postgres);
  const systemUrl = await createDatabase(servers.postgres[0] ?? '', 'peer-system');
  await checkpoint(servers.postgres);
  const orders = Math.ceil(ordersOf({ children, servers, ...bench }) * PEER_SHARE);
  const options = { shards, systemUrl, concurrency, systemPool: SYSTEM_POOL, shardPool: SHARD_POOL, warmup: Math.ceil(orders * WARMUP_SHARE), orders };
  const child = children.start(nodeProgram({ name: `dbos-${concurrency}`, file: 'peers/dbos-orders.ts', options }));
  await child.event('running');
  const before = { postgres: servers.cpuSeconds().postgres, workflows: cpuSecondsOf(child.pid) };
  const done = await child.event('done');
  const after = { postgres: servers.cpuSeconds().postgres, workflows: cpuSecondsOf(child.pid) };
  const seconds = Number(done['seconds']);
  await child.exited;
  await assertNothingHeld(Object.values(shards));
  const used = after.postgres - before.postgres + after.workflows - before.workflows;
  return {
    ordersPerSecond: orders / seconds,
    workflowCores: (after.workflows - before.workflows) / seconds,
    postgresCores: (after.postgres - before.postgres) / seconds,
    ordersPerCoreSecond: orders / used,
  };
}

async function filledShards(servers: readonly string[]): Promise<Readonly<Record<Shard, string>>> {
  const [a = '', b = ''] = await Promise.all(SHARDS.map((shard, index) => createDatabase(servers[index] ?? '', `peer-${shard}`)));
  const shards = { a, b };
  await Promise.all(SHARDS.map((shard) => fillShard(shard, shards[shard])));
  return shards;
}

async function fillShard(shard: Shard, url: string): Promise<void> {
  await query(url, CREATE_ORDER_TABLES);
  const accounts = Array.from({ length: ACCOUNTS }, (_, index) => accountName(index)).filter((account) => shardOf(account) === shard);
  const items = stocked(shard);
  await withClients([url], async (clients) => {
    const run = async (text: string, values: readonly unknown[]) => void (await clients[0]?.query(text, [...values]));
    await run('insert into account select id, $2::bigint, 0 from unnest($1::text[]) id', [accounts, Math.round(Number(FUNDS) * 100)]);
    await run('insert into stock select * , 0 from unnest($1::text[], $2::bigint[])', [items.map(({ id }) => id), items.map(({ units }) => units)]);
  });
  await query(url, 'vacuum (analyze) account, stock');
}

/** Every order took its money and its stock, and has ended. */
async function assertNothingHeld(urls: readonly string[]): Promise<void> {
  for (const url of urls) {
    const [row] = await query(url, `select count(*) filter (where state <> 'confirmed') as open from hold`);
    if (Number(row?.['open']) !== 0) throw new Error('workflows have ended and something is still held');
  }
}
