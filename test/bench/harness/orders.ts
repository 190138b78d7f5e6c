/** Orders through an installation: its services, its accounts and stock, so many orders, and how far their sagas are. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Service } from '@millrace/local-cluster';
import type pg from 'pg';
import { ORDER_OWNERS, ORDER_SLOTS, SHARDS, stockRecords, type OrderRun } from '../orders.ts';
import type { Bench } from './bench.ts';
import { nodeProgram, type Child } from './children.ts';
import { createInstallation, fund, untilApplied, type Installation } from './installation.ts';
import { CONNECTIONS } from './load.ts';
import { checkpoint, withClients } from './postgres.ts';
import type { Measure } from './rounds.ts';
import { cpuSecondsOf } from './usage.ts';

const STOCKED_TIMEOUT_MS = 60_000;
/** A run of the options' size would take minutes where a saga is a dozen records. */
const ORDERS_MAX = 40_000;
const WARMUP_SHARE = 0.1;
const POLL_MS_MIN = 50;
const POLL_MS_MAX = 500;
/** Counting reads every saga, and the side under measurement pays for it: no more than this part of the time. */
const LOOKING_SHARE_MAX = 0.1;
const STALL_TIMEOUT_MS = 60_000;

export interface OrderInstallation extends Installation {
  readonly gateway: Service;
  readonly writer: Service;
  readonly orchestrator: Service;
}

/** A gateway, a writer and an orchestrator run; accounts are funded and skus stocked. */
export async function createOrderInstallation(bench: Bench, name: string): Promise<OrderInstallation> {
  const installation = await createInstallation(bench, { name, slots: ORDER_SLOTS });
  const writer = await installation.startWriter();
  const orchestrator = await installation.startOrchestrator();
  const gateway = await installation.startGateway();
  await fund(installation);
  await installation.fill(stockRecords());
  await untilApplied(installation, STOCKED_TIMEOUT_MS);
  const owners = await installation.ring.owners();
  if (owners.some((owner, slot) => owner !== ORDER_OWNERS[slot])) throw new Error('the slots are not where the orders take them to be');
  return { ...installation, writer, orchestrator, gateway };
}

/** Orders of a measurement by count. */
export function ordersOf({ options }: Bench): number {
  return Math.min(options.records, ORDERS_MAX);
}

/** Sends so many orders as fast as they are acknowledged; says `sending`, then `done`. */
export function startOrders({ children }: Bench, { gatewayPort: port, apiKey }: Installation, { run, orders }: { readonly run: OrderRun; readonly orders: number }): Child {
  return children.start(nodeProgram({ name: 'orders', file: 'load/orders.ts', options: { port, apiKey, connections: CONNECTIONS, orders, run } }));
}

/**
 * Orders sent as fast as they are acknowledged, from the first POST until all of them are confirmed, after a tenth as
 * many that warm everything up. @throws Error where one is not confirmed, or something is still held in the end.
 */
export async function measureOrders(bench: Bench, installation: OrderInstallation, run: OrderRun): Promise<Measure> {
  const { servers } = bench;
  const { gateway, writer, orchestrator } = installation;
  const before = confirmedIn(await sagasIn(installation));
  const warmup = Math.ceil(ordersOf(bench) * WARMUP_SHARE);
  await startOrders(bench, installation, { run: { ...run, run: `${run.run}w` }, orders: warmup }).event('done');
  await untilEnded(installation, before + warmup);
  await checkpoint(servers.postgres);

  const orders = ordersOf(bench);
  const usage = () => ({ ...servers.cpuSeconds(), gateway: cpuOf(gateway), writer: cpuOf(writer), orchestrator: cpuOf(orchestrator) });
  const load = startOrders(bench, installation, { run, orders });
  const { atMs: fromMs } = await load.event('sending');
  const from = usage();
  const done = await load.event('done');
  const toMs = await untilEnded(installation, before + warmup + orders);
  const to = usage();
  await assertNothingHeld(installation);
  const seconds = (toMs - fromMs) / 1000;
  const used = to.gateway - from.gateway + to.writer - from.writer + to.orchestrator - from.orchestrator + to.postgres - from.postgres + to.broker - from.broker;
  return {
    ordersPerSecond: orders / seconds,
    ackedPerSecond: orders / Number(done['seconds']),
    gatewayCores: (to.gateway - from.gateway) / seconds,
    writerCores: (to.writer - from.writer) / seconds,
    orchestratorCores: (to.orchestrator - from.orchestrator) / seconds,
    postgresCores: (to.postgres - from.postgres) / seconds,
    brokerCores: (to.broker - from.broker) / seconds,
    generatorCores: Number(done['cpuSeconds']) / seconds,
    ordersPerCoreSecond: orders / used,
  };
}

/** How many sagas are in which state, over these shards. */
export function sagasIn({ urlOf }: Installation, shards: readonly string[] = SHARDS): Promise<ReadonlyMap<string, number>> {
  return withClients(shards.map(urlOf), countSagas);
}

/** Resolves when so many sagas are confirmed, with the instant in milliseconds since 1970. @throws Error where nothing ends for a minute, or one ends otherwise. */
export function untilEnded({ urlOf }: Installation, sagas: number): Promise<number> {
  return withClients(SHARDS.map(urlOf), async (clients) => {
    const startedAt = performance.now();
    const first = confirmedIn(await countSagas(clients));
    let last = { ended: first, atMs: startedAt };
    for (;;) {
      const askedAt = performance.now();
      const ended = confirmedIn(await countSagas(clients));
      const now = performance.now();
      if (ended >= sagas) return performance.timeOrigin + now;
      if (ended > last.ended) last = { ended, atMs: now };
      else if (now - last.atMs > STALL_TIMEOUT_MS) throw new Error(`no order has ended for a minute: ${ended} of ${sagas}`);
      const pause = pauseMs({ left: sagas - ended, done: ended - first, inMs: now - startedAt });
      await delay(Math.max(pause, (now - askedAt) * (1 / LOOKING_SHARE_MAX - 1)));
    }
  });
}

/** Wait half of what seems left before counting again. */
function pauseMs({ left, done, inMs }: { readonly left: number; readonly done: number; readonly inMs: number }): number {
  if (done === 0) return POLL_MS_MIN;
  return Math.min(Math.max((left * inMs) / done / 2, POLL_MS_MIN), POLL_MS_MAX);
}

async function countSagas(clients: readonly pg.Client[]): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  for (const { state, sagas } of await rowsOf<{ state: string; sagas: string }>(clients, 'select state, count(*) as sagas from saga group by state')) {
    counts.set(state, (counts.get(state) ?? 0) + Number(sagas));
  }
  return counts;
}

function confirmedIn(counts: ReadonlyMap<string, number>): number {
  const undone = (counts.get('rejected') ?? 0) + (counts.get('cancelled') ?? 0) + (counts.get('undoing') ?? 0);
  if (undone > 0) throw new Error(`${undone} orders are undone: not every account was funded, or not every sku stocked`);
  return counts.get('confirmed') ?? 0;
}

/** Where all orders have ended, none leaves anything with its participants. */
export async function assertNothingHeld({ urlOf }: Installation): Promise<void> {
  await withClients(SHARDS.map(urlOf), async (clients) => {
    const held = await rowsOf<{ held: string }>(clients, 'select (select coalesce(sum(held), 0) from account) + (select coalesce(sum(reserved), 0) from stock) as held');
    if (held.some((row) => Number(row.held) !== 0)) throw new Error('orders have ended and something is still held');
  });
}

async function rowsOf<Row extends pg.QueryResultRow>(clients: readonly pg.Client[], text: string): Promise<readonly Row[]> {
  return (await Promise.all(clients.map((client) => client.query<Row>(text)))).flatMap(({ rows }) => rows);
}

function cpuOf({ pid, name }: Service): number {
  if (pid === undefined) throw new Error(`${name} has ended under load`);
  return cpuSecondsOf(pid);
}
