/** Whether producers notice: latency of acks at half load while a shard joins and leaves, against the same without. */
import type { Bench, Report } from '../harness/bench.ts';
import { startChurn } from '../harness/churn.ts';
import { findAtMost, findRatioAtMost } from '../harness/findings.ts';
import { createInstallation, fund, untilApplied, type Installation } from '../harness/installation.ts';
import { fullLoad, halfOf, numbersIn, startPosts } from '../harness/load.ts';
import { checkpoint } from '../harness/postgres.ts';
import { atMsOf, type Move } from '../harness/ring.ts';
import { interleave, type Measure, type Side, type SideResult } from '../harness/rounds.ts';

const SLOTS = 64;
const CAUGHT_UP_TIMEOUT_MS = 120_000;
const GUEST = 'c';

export async function moveAcks(bench: Bench): Promise<Report> {
  const installation = await createInstallation(bench, { name: 'move-acks', slots: SLOTS, later: [GUEST] });
  await installation.startWriter();
  await installation.startGateway();
  await fund(installation);
  const full = await fullLoad(bench, installation);
  await untilApplied(installation, CAUGHT_UP_TIMEOUT_MS);
  const ratePerSecond = halfOf(full);
  const results = await interleave([steady(bench, installation, ratePerSecond), changing(bench, installation, ratePerSecond)], bench.options.rounds);
  await installation.remove();
  return {
    name: 'move-acks',
    title: 'Acks while shards join and leave',
    method: `Half of the load that the whole chain carries, as in \`latency\`, requests due at fixed instants and latency from when they were due, ${bench.options.seconds} s a period; all periods on one installation of ${SLOTS} slots, in turns. \`steady\`: two shards. \`changing\`: a third joins, gets a third of the slots, gives them back and leaves, again and again until the period ends.`,
    columns: [
      { metric: 'ratePerSecond', title: 'half load/s' },
      { metric: 'ackP50Ms', title: 'ack p50 ms' },
      { metric: 'ackP99Ms', title: 'ack p99 ms' },
      { metric: 'failed', title: 'failed' },
      { metric: 'moves', title: 'slots moved meanwhile' },
    ],
    results,
    findings: [
      findRatioAtMost(results, { what: 'ack p99 against steady', a: 'changing', b: 'steady', metric: 'ackP99Ms', atMost: 1.2 }),
      findAtMost({ what: 'failed requests', value: failedIn(results), unit: 'requests', atMost: 0 }),
    ],
  };
}

function steady(bench: Bench, installation: Installation, ratePerSecond: number): Side {
  return {
    name: 'steady',
    measure: async (round) => {
      await checkpoint(bench.servers.postgres);
      return (await period(bench, installation, { run: `s${twoDigits(round)}`, ratePerSecond })).measure;
    },
  };
}

function changing(bench: Bench, installation: Installation, ratePerSecond: number): Side {
  return {
    name: 'changing',
    measure: async (round) => {
      await checkpoint(bench.servers.postgres);
      const churn = startChurn(installation, GUEST);
      const { measure, fromMs, toMs } = await period(bench, installation, { run: `c${twoDigits(round)}`, ratePerSecond });
      const { moves } = await churn.stop();
      await untilApplied(installation, CAUGHT_UP_TIMEOUT_MS);
      return { ...measure, moves: movedWithin(moves, fromMs, toMs) };
    },
  };
}

interface Period {
  readonly measure: Measure;
  /** In milliseconds since 1970. */
  readonly fromMs: number;
  readonly toMs: number;
}

async function period(bench: Bench, installation: Installation, load: { readonly run: string; readonly ratePerSecond: number }): Promise<Period> {
  const generator = startPosts(bench, installation, load);
  const { atMs: fromMs } = await generator.event('measuring');
  const done = await generator.event('done');
  const measure = { ratePerSecond: load.ratePerSecond, ...numbersIn(done, ['ackP50Ms', 'ackP99Ms']), failed: Number(done['refused']) };
  return { measure, fromMs, toMs: done.atMs };
}

function movedWithin(moves: readonly Move[], fromMs: number, toMs: number): number {
  return moves.filter((move) => atMsOf(move, 'activated') >= fromMs && atMsOf(move, 'activated') <= toMs).length;
}

function failedIn(results: readonly SideResult[]): number {
  return results.flatMap(({ measures }) => measures).reduce((sum, { failed = 0 }) => sum + failed, 0);
}

function twoDigits(round: number): string {
  return String(round).padStart(2, '0');
}
