/** How long a slot that moves is not applied, at the full load of the chain. */
import type { Bench, Report } from '../harness/bench.ts';
import { startChurn } from '../harness/churn.ts';
import { findAtMost } from '../harness/findings.ts';
import { createInstallation, fund, untilApplied, type Installation } from '../harness/installation.ts';
import { CONNECTIONS, startPosts } from '../harness/load.ts';
import { checkpoint } from '../harness/postgres.ts';
import { interleave, type Measure } from '../harness/rounds.ts';
import { stallsOf, type Stall } from '../harness/stalls.ts';
import { quantile } from '../harness/stats.ts';
import { watchSlots } from '../harness/watch.ts';

const SLOTS = 64;
const CAUGHT_UP_TIMEOUT_MS = 300_000;
const GUEST = 'c';
const STALL_MAX_MS = 250;

export async function moveStall(bench: Bench): Promise<Report> {
  const installation = await createInstallation(bench, { name: 'move-stall', slots: SLOTS, later: [GUEST] });
  await installation.startWriter();
  await installation.startGateway();
  await fund(installation);
  // Its tables must be there for the watch.
  await installation.join(GUEST);
  await installation.ring.remove(GUEST);
  const all: Stall[] = [];
  const side = {
    name: 'millrace',
    measure: async (round: number): Promise<Measure> => {
      const { stalls, measure } = await measureRound(bench, installation, `m${String(round).padStart(2, '0')}`);
      all.push(...stalls);
      return measure;
    },
  };
  const results = await interleave([side], bench.options.rounds);
  await installation.remove();
  return {
    name: 'move-stall',
    title: 'Stall of a moved slot at full load',
    method: `${CONNECTIONS} connections post as fast as they are answered for ${bench.options.seconds} s while a third shard joins and leaves as in \`move-acks\`. Told: from the commit of the fence to that of the activation, by the mover. Outside: the slot's positions on all shards, asked every 5 ms, and for each move the longest wait of a record that was the next one of its slot, from a second before the fence to a second behind the activation; the same of the stand that reaches from the fence to the activation alone; over the whole move, moments included in which the mover holds a slot that it cannot keep up with; and for as long before the move began. A record waits from when it was appended to the log. Goals are over all moves of all rounds.`,
    columns: [
      { metric: 'ackedPerSecond', title: 'acked/s' },
      { metric: 'appliedPerSecond', title: 'applied/s' },
      { metric: 'moves', title: 'moves' },
      { metric: 'toldP99Ms', title: 'told p99 ms' },
      { metric: 'crossingP99Ms', title: 'outside, across the fence p99 ms' },
      { metric: 'fenceP50Ms', title: 'outside p50 ms' },
      { metric: 'fenceP99Ms', title: 'outside p99 ms' },
      { metric: 'moveP99Ms', title: 'over the whole move p99 ms' },
      { metric: 'beforeP99Ms', title: 'before the move p99 ms' },
      { metric: 'lookP99Ms', title: 'between looks p99 ms' },
    ],
    results,
    findings: [
      findAtMost({ what: `outside stall of ${all.length} moves, p99`, value: p99(all.map(({ fenceMs }) => fenceMs)), unit: 'ms', atMost: STALL_MAX_MS }),
    ],
  };
}

async function measureRound(bench: Bench, installation: Installation, run: string): Promise<{ readonly stalls: readonly Stall[]; readonly measure: Measure }> {
  await checkpoint(bench.servers.postgres);
  const urls = ['a', 'b', GUEST].map(installation.urlOf);
  const watch = await watchSlots(urls);
  const churn = startChurn(installation, GUEST, ({ moves }) => watch.follow(moves.map(({ slot }) => slot)));
  const generator = startPosts(bench, installation, { run });
  const { atMs: fromMs } = await generator.event('measuring');
  const before = await installation.applied();
  const done = await generator.event('done');
  const applied = (await installation.applied()) - before;
  const watched = await watch.stop();
  const { moves } = await churn.stop();
  await untilApplied(installation, CAUGHT_UP_TIMEOUT_MS);
  const stalls = await stallsOf({ urls, watched, moves, load: { fromMs, toMs: done.atMs } });
  return { stalls, measure: { ackedPerSecond: Number(done['ackedPerSecond']), appliedPerSecond: applied / Number(done['seconds']), ...summaryOfStalls(stalls), lookP99Ms: p99(watched.lookMs) } };
}

function summaryOfStalls(stalls: readonly Stall[]): Measure {
  const p99Of = (metric: keyof Stall) => p99(stalls.flatMap((stall) => stall[metric] ?? []));
  return {
    moves: stalls.length,
    toldP99Ms: p99Of('toldMs'),
    crossingP99Ms: p99Of('crossingMs'),
    fenceP50Ms: quantile(stalls.map(({ fenceMs }) => fenceMs), 0.5),
    fenceP99Ms: p99Of('fenceMs'),
    moveP99Ms: p99Of('moveMs'),
    beforeP99Ms: p99Of('beforeMs'),
  };
}

function p99(values: readonly number[]): number {
  return quantile(values, 0.99);
}
