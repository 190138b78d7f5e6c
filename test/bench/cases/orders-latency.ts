/** From the POST of an order to the end of its saga, at half of the orders that the whole chain carries. */
import type { Bench, Report } from '../harness/bench.ts';
import { nodeProgram } from '../harness/children.ts';
import { findAtMost } from '../harness/findings.ts';
import { CONNECTIONS, numbersIn } from '../harness/load.ts';
import { createOrderInstallation, measureOrders, ordersOf } from '../harness/orders.ts';
import { interleave, summaryOf, type Measure } from '../harness/rounds.ts';

const WARMUP_SECONDS = 3;

export async function ordersLatency(bench: Bench): Promise<Report> {
  const results = await interleave([{ name: 'millrace', measure: (round) => measure(bench, round) }], bench.options.rounds);
  const p99 = summaryOf(results, 'millrace', 'confirmedP99Ms')?.median ?? Number.NaN;
  return {
    name: 'orders-latency',
    title: 'From POST to confirmed',
    method: `Full load first: ${ordersOf(bench)} orders as in \`orders-rate\`, until all are confirmed. Then half of that rate for ${bench.options.seconds} s after ${WARMUP_SECONDS} s, on the same installation. Orders are due at fixed instants; latency counts from then until the generator reads the transition to \`confirmed\` from topic \`outcomes\`, where it comes after its commit.`,
    columns: [
      { metric: 'fullOrdersPerSecond', title: 'full load orders/s' },
      { metric: 'ratePerSecond', title: 'half load/s' },
      { metric: 'ackP50Ms', title: 'ack p50 ms' },
      { metric: 'ackP99Ms', title: 'ack p99 ms' },
      { metric: 'confirmedP50Ms', title: 'confirmed p50 ms' },
      { metric: 'confirmedP99Ms', title: 'confirmed p99 ms' },
      { metric: 'generatorCores', title: 'generator cores' },
    ],
    results,
    findings: [findAtMost({ what: 'POST to confirmed p99 at half load', value: p99, unit: 'ms', atMost: 500 })],
  };
}

async function measure(bench: Bench, round: number): Promise<Measure> {
  const name = `orders-latency-${round}`;
  const installation = await createOrderInstallation(bench, name);
  const { ordersPerSecond: fullOrdersPerSecond = Number.NaN } = await measureOrders(bench, installation, { run: 'f00' });
  const ratePerSecond = fullOrdersPerSecond / 2;
  const load = {
    port: installation.gatewayPort,
    apiKey: installation.apiKey,
    brokers: bench.servers.brokers,
    topic: installation.outcomes,
    groupId: `${name}.ends`,
    connections: CONNECTIONS,
    warmupSeconds: WARMUP_SECONDS,
    seconds: bench.options.seconds,
    ratePerSecond,
    run: { run: 'h00' },
  };
  const done = await bench.children.start(nodeProgram({ name: 'order-ends', file: 'load/order-ends.ts', options: load })).event('done');
  if (Number(done['refused']) + Number(done['unended']) > 0) throw new Error(`at half load: ${JSON.stringify(done)}`);
  await installation.remove();
  return { fullOrdersPerSecond, ratePerSecond, ...numbersIn(done, ['ackP50Ms', 'ackP99Ms', 'confirmedP50Ms', 'confirmedP99Ms', 'generatorCores']) };
}
