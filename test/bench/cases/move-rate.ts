/** What moves take from the rate at which everything is applied. */
import { cpuSecondsOf } from '../harness/usage.ts';
import type { Bench, Report } from '../harness/bench.ts';
import { startShuttle } from '../harness/churn.ts';
import { measureDrain } from '../harness/drain.ts';
import { findRatio } from '../harness/findings.ts';
import { createInstallation, fund, type Installation } from '../harness/installation.ts';
import { checkpoint } from '../harness/postgres.ts';
import { atMsOf, type Move } from '../harness/ring.ts';
import { interleave, type Measure, type Side } from '../harness/rounds.ts';
import { captures, DRAIN_COLUMNS } from './apply.ts';

const SLOTS = 64;
const RUN = 'r00';
const GUEST = 'c';

export async function moveRate(bench: Bench): Promise<Report> {
  const steady: Side = { name: 'steady', measure: (round) => measure(bench, `move-rate-s${round}`, () => async () => []) };
  const moving: Side = {
    name: 'moving',
    measure: (round) => measure(bench, `move-rate-m${round}`, ({ ring }) => startShuttle(ring, ['a', GUEST]).stop),
  };
  const results = await interleave([steady, moving], bench.options.rounds);
  return {
    name: 'move-rate',
    title: 'Apply rate while slots move',
    method: `As \`apply\`, ${bench.options.records} records over ${SLOTS} slots of two shards; a third is a member that owns nothing. \`moving\`: from the start of the writer to the end of the backlog the slots of shard a go to the third, two at a time, and back when all are there.`,
    columns: [
      ...DRAIN_COLUMNS,
      { metric: 'moves', title: 'slots moved meanwhile' },
      { metric: 'ringManagerCores', title: 'ring-manager cores' },
    ],
    results,
    findings: [findRatio(results, { what: 'applied while slots move against steady', a: 'moving', b: 'steady', metric: 'recordsPerSecond', atLeast: 0.8 })],
  };
}

/** `begin` starts what goes on beside, and gives what ends it. */
async function measure(bench: Bench, name: string, begin: (installation: Installation) => () => Promise<readonly Move[]>): Promise<Measure> {
  const { servers, options } = bench;
  const installation = await createInstallation(bench, { name, slots: SLOTS, later: [GUEST] });
  await installation.join(GUEST);
  const first = await installation.startWriter();
  await fund(installation);
  await first.stop();
  const funded = await installation.applied();
  await installation.fill(captures(RUN, options.records));
  await checkpoint(servers.postgres);
  const total = (await installation.stored()) - funded;
  const writer = await installation.startWriter();
  const [startedAtMs, cpu] = [Date.now(), cpuSecondsOf(installation.ringManager.pid ?? -1)];
  const end = begin(installation);
  const progress = async () => ({ records: (await installation.applied()) - funded, atMs: performance.now() });
  const drained = await measureDrain({ servers, pid: writer.pid ?? -1, total, progress });
  const endedAtMs = Date.now();
  const ringManagerCores = ((cpuSecondsOf(installation.ringManager.pid ?? -1) - cpu) * 1000) / (endedAtMs - startedAtMs);
  const moves = (await end()).filter((move) => move.progress.activated_at !== undefined && atMsOf(move, 'activated') <= endedAtMs);
  await installation.remove();
  return { ...drained, moves: moves.length, ringManagerCores };
}
