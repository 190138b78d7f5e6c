/** Latency at half of the load that the whole chain carries: POST to 202, and POST to readable. */
import type { Service } from '@millrace/local-cluster';
import type { Bench, Report } from '../harness/bench.ts';
import { findAtMost } from '../harness/findings.ts';
import { createInstallation, fund, untilApplied } from '../harness/installation.ts';
import { CONNECTIONS, fullLoad, halfOf, numbersIn, startPosts } from '../harness/load.ts';
import { interleave, summaryOf, type Measure } from '../harness/rounds.ts';

const PROBES_PER_SECOND = 100;
const CAUGHT_UP_TIMEOUT_MS = 120_000;

export async function latency(bench: Bench): Promise<Report> {
  const results = await interleave([{ name: 'millrace', measure: (round) => measure(bench, round) }], bench.options.rounds);
  const medianOf = (metric: string) => summaryOf(results, 'millrace', metric)?.median ?? Number.NaN;
  return {
    name: 'latency',
    title: 'Latency at half load',
    method: `Full load first: ${CONNECTIONS} connections with a writer running; what is acknowledged and what is applied meanwhile, the lower of the two is the load that the chain carries. Then half of it for ${bench.options.seconds} s, requests due at fixed instants and latency from when they were due; ${PROBES_PER_SECOND}/s of further writes are read back through \`?after=\`.`,
    columns: [
      { metric: 'fullAckedPerSecond', title: 'full load acked/s' },
      { metric: 'fullAppliedPerSecond', title: 'applied/s' },
      { metric: 'ratePerSecond', title: 'half load/s' },
      { metric: 'ackP50Ms', title: 'ack p50 ms' },
      { metric: 'ackP99Ms', title: 'ack p99 ms' },
      { metric: 'readableP50Ms', title: 'readable p50 ms' },
      { metric: 'readableP99Ms', title: 'readable p99 ms' },
    ],
    results,
    findings: [
      findAtMost({ what: 'ack p99 at half load', value: medianOf('ackP99Ms'), unit: 'ms', atMost: 25 }),
      findAtMost({ what: 'POST to readable p99 at half load', value: medianOf('readableP99Ms'), unit: 'ms', atMost: 150 }),
    ],
  };
}

async function measure(bench: Bench, round: number): Promise<Measure> {
  const installation = await createInstallation(bench, { name: `latency-${round}`, slots: 64 });
  const services: Service[] = [await installation.startWriter(), await installation.startGateway()];
  await fund(installation);
  const full = await fullLoad(bench, installation);
  await untilApplied(installation, CAUGHT_UP_TIMEOUT_MS);
  const ratePerSecond = halfOf(full);
  const done = await startPosts(bench, installation, { run: 'h00', ratePerSecond, probesPerSecond: PROBES_PER_SECOND }).event('done');
  if (Number(done['refused']) + Number(done['unread']) > 0) throw new Error(`at half load: ${JSON.stringify(done)}`);
  if (services.some((service) => service.pid === undefined)) throw new Error('a service ended under load');
  await installation.remove();
  return { ...full, ratePerSecond, ...numbersIn(done, ['ackP50Ms', 'ackP99Ms', 'readableP50Ms', 'readableP99Ms']) };
}
