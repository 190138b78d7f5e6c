/** Sagas that wait for a shard that is down: the orchestrator's memory meanwhile, and how fast they end afterwards. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Bench, Report } from '../harness/bench.ts';
import { findAtMost, findRatio } from '../harness/findings.ts';
import { assertNothingHeld, createOrderInstallation, measureOrders, sagasIn, startOrders, untilEnded, type OrderInstallation } from '../harness/orders.ts';
import { checkpoint, query } from '../harness/postgres.ts';
import { SAMPLE_MS, sampled } from '../harness/resident.ts';
import type { Measure } from '../harness/rounds.ts';
import { median } from '../harness/stats.ts';
import { orderNumbers, orderOf, partsOn, type OrderRun } from '../orders.ts';

const WAITING_MAX = 100_000;
/** The shard that goes down, and the number of its server; the other keeps the control database and the sagas. */
const DOWN = { shard: 'b', server: 1 } as const;
const UP = 'a';
/** Those that wait may wait: the deadline is none of what is measured. */
const WAITING: OrderRun = { run: 'd00', on: UP, deadlineSeconds: 24 * 60 * 60 };
const DRIFT_MAX_PERCENT = 10;
const LOOK_MS = 1_000;
const STALL_TIMEOUT_MS = 120_000;

export async function ordersDown(bench: Bench): Promise<Report> {
  const orders = Math.min(bench.options.records, WAITING_MAX);
  const installation = await createOrderInstallation(bench, 'orders-down');
  const up = await measureOrders(bench, installation, { run: 'u00' });
  const { memory, drain } = await downAndUp(bench, installation, orders);
  await installation.remove();
  const results = [
    { name: 'all shards up', measures: [{ ordersPerSecond: up['ordersPerSecond'] ?? Number.NaN }] },
    { name: 'back after being down', measures: [drain] },
    ...Object.entries(memory).map(([name, measure]) => ({ name: `${name}, one shard down`, measures: [measure] })),
  ];
  return {
    name: 'orders-down',
    title: 'Sagas that wait for a shard that is down',
    method: `Postgres of one of two shards is stopped, then ${orders} orders are posted whose own shard is up and whose second line is on the one that is down: all of them wait in \`reserving\`. Resident memory every ${SAMPLE_MS} ms, while they come in and for ${bench.options.seconds} s more; drift is the median of that waiting over the second quarter of the coming in. Then Postgres starts again: orders/s from when it accepts connections until all are confirmed, which takes neither the gateway nor the start of a saga any more. Against orders as in \`orders-rate\`, before that on the same installation.`,
    columns: [
      { metric: 'ordersPerSecond', title: 'orders/s' },
      { metric: 'firstEndSeconds', title: 'first end after seconds' },
      { metric: 'afterFirstPerSecond', title: 'orders/s from then on' },
      { metric: 'secondQuarterMiB', title: '2nd quarter MiB' },
      { metric: 'waitingMiB', title: 'waiting MiB' },
      { metric: 'maxMiB', title: 'max MiB' },
      { metric: 'driftPercent', title: 'drift %' },
      { metric: 'seconds', title: 'seconds' },
    ],
    results,
    findings: [
      findAtMost({ what: 'orchestrator: drift', value: Math.abs(memory['orchestrator']?.['driftPercent'] ?? Number.NaN), unit: '%', atMost: DRIFT_MAX_PERCENT }),
      findRatio(results, { what: 'drained against all shards up', a: 'back after being down', b: 'all shards up', metric: 'ordersPerSecond', atLeast: 1 }),
    ],
  };
}

interface Outage {
  readonly memory: Readonly<Record<string, Measure>>;
  readonly drain: Measure;
}

async function downAndUp(bench: Bench, installation: OrderInstallation, orders: number): Promise<Outage> {
  const { servers } = bench;
  const { orchestrator, writer } = installation;
  const ended = (await sagasIn(installation)).get('confirmed') ?? 0;
  await servers.stopPostgres(DOWN.server);
  const coming = await sampled({ orchestrator, writer }, () => comeIn(bench, installation, orders));
  const waiting = await sampled({ orchestrator, writer }, () => delay(bench.options.seconds * 1000));
  const waited = (await sagasIn(installation, [UP])).get('reserving');
  if (waited !== orders) throw new Error(`${waited} of ${orders} orders waited for the shard that was down`);
  await checkpoint(servers.postgres.filter((_, server) => server !== DOWN.server));
  await servers.startPostgres(DOWN.server);
  const fromMs = performance.timeOrigin + performance.now();
  const firstMs = await untilEnded(installation, ended + 1);
  const toMs = await untilEnded(installation, ended + orders);
  await assertNothingHeld(installation);
  const seconds = (toMs - fromMs) / 1000;
  const memory = Object.fromEntries(Object.entries(coming.byName).map(([name, samples]) => [name, memoryOf(samples, waiting.byName[name] ?? [], coming.seconds + waiting.seconds)]));
  const firstEndSeconds = (firstMs - fromMs) / 1000;
  return { memory, drain: { ordersPerSecond: orders / seconds, firstEndSeconds, afterFirstPerSecond: orders / (seconds - firstEndSeconds), seconds } };
}

/** Resolves when each saga has the answers of all participants that are up, and lacks no more than the others. */
async function comeIn(bench: Bench, installation: OrderInstallation, orders: number): Promise<void> {
  const load = startOrders(bench, installation, { run: WAITING, orders });
  await load.event('done');
  const end: Standing = { sagas: orders, lack: lacking(orders) };
  let last = { standing: await standingOn(installation.urlOf(UP)), atMs: performance.now() };
  while (!isSame(last.standing, end)) {
    if (performance.now() - last.atMs > STALL_TIMEOUT_MS) throw new Error(`sagas stand at ${JSON.stringify(last.standing)} instead of ${JSON.stringify(end)}`);
    await delay(LOOK_MS);
    const standing = await standingOn(installation.urlOf(UP));
    if (!isSame(standing, last.standing)) last = { standing, atMs: performance.now() };
  }
}

/** Sagas that reserve, and how many answers they lack in all. */
interface Standing {
  readonly sagas: number;
  readonly lack: number;
}

function isSame(a: Standing, b: Standing): boolean {
  return a.sagas === b.sagas && a.lack === b.lack;
}

/** Answers that cannot come while the shard is down. */
function lacking(orders: number): number {
  let sum = 0;
  for (const n of orderNumbers(WAITING, orders)) sum += partsOn(DOWN.shard, orderOf(WAITING, n));
  return sum;
}

async function standingOn(url: string): Promise<Standing> {
  const [row] = await query(url, `select count(*) as sagas, coalesce(sum(jsonb_array_length(body->'waiting')), 0) as lack from saga where state = 'reserving'`);
  return { sagas: Number(row?.['sagas']), lack: Number(row?.['lack']) };
}

function memoryOf(coming: readonly number[], waiting: readonly number[], seconds: number): Measure {
  const quarter = Math.max(1, Math.floor(coming.length / 4));
  const secondQuarterMiB = median(coming.slice(quarter, 2 * quarter));
  const waitingMiB = median(waiting);
  return { secondQuarterMiB, waitingMiB, maxMiB: Math.max(...coming, ...waiting), driftPercent: (waitingMiB / secondQuarterMiB - 1) * 100, seconds };
}
