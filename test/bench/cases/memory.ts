/** Resident memory of gateway and writer: over many writes through both, and over a backlog that the writer finds. */
import type { Bench, Finding, Report } from '../harness/bench.ts';
import { findAtMost } from '../harness/findings.ts';
import { createInstallation, fund, untilApplied, type Installation } from '../harness/installation.ts';
import type { Filler } from '../harness/kafka.ts';
import { SAMPLE_MS, sampled, type Samples } from '../harness/resident.ts';
import type { Measure, SideResult } from '../harness/rounds.ts';
import { median } from '../harness/stats.ts';
import { captureRecord } from '../writes.ts';
import { sendBulk } from './bulk.ts';

const APPLIED_TIMEOUT_MS = 15 * 60_000;
const DRIFT_MAX_PERCENT = 10;
const RESIDENT_MIB_MAX = 300;

export async function memory(bench: Bench): Promise<Report> {
  const installation = await createInstallation(bench, { name: 'memory', slots: 64 });
  const gateway = await installation.startGateway();
  const firstWriter = await installation.startWriter();
  await fund(installation);
  const streaming = await sampled({ gateway, writer: firstWriter }, () => stream(bench, installation));
  await firstWriter.stop();
  const backlogRecords = bench.options.memoryRecords / 2;
  await installation.fill(backlog(backlogRecords));
  const secondWriter = await installation.startWriter();
  const draining = await sampled({ gateway, writer: secondWriter }, () => untilApplied(installation, APPLIED_TIMEOUT_MS));
  await installation.remove();
  const results = [...rowsOf('streaming', streaming), ...rowsOf('backlog', draining)];
  return {
    name: 'memory',
    title: 'Resident memory',
    method: `Streaming: ${bench.options.memoryRecords} NDJSON writes through the gateway while the writer applies. Backlog: ${backlogRecords} records that wait when the writer starts. Sampled every ${SAMPLE_MS} ms; drift is the median of the last quarter over that of the second.`,
    columns: [
      { metric: 'secondQuarterMiB', title: '2nd quarter MiB' },
      { metric: 'lastQuarterMiB', title: 'last quarter MiB' },
      { metric: 'maxMiB', title: 'max MiB' },
      { metric: 'driftPercent', title: 'drift %' },
      { metric: 'seconds', title: 'seconds' },
    ],
    results,
    findings: results.flatMap(findingsOf),
  };
}

async function stream(bench: Bench, installation: Installation): Promise<void> {
  const { gatewayPort: port, apiKey } = installation;
  await sendBulk(bench, { port, apiKey, run: 'm00', from: 0, records: bench.options.memoryRecords });
  await untilApplied(installation, APPLIED_TIMEOUT_MS);
}

function rowsOf(phase: string, { seconds, byName }: Samples): readonly SideResult[] {
  return Object.entries(byName).map(([name, samples]) => ({ name: `${name}, ${phase}`, measures: [measureOf(samples, seconds)] }));
}

function measureOf(samples: readonly number[], seconds: number): Measure {
  const quarter = Math.floor(samples.length / 4);
  const secondQuarterMiB = median(samples.slice(quarter, 2 * quarter));
  const lastQuarterMiB = median(samples.slice(3 * quarter));
  return { secondQuarterMiB, lastQuarterMiB, maxMiB: Math.max(...samples), driftPercent: (lastQuarterMiB / secondQuarterMiB - 1) * 100, seconds };
}

function findingsOf({ name, measures }: SideResult): readonly Finding[] {
  const { driftPercent = Number.NaN, maxMiB = Number.NaN } = measures[0] ?? {};
  return [
    findAtMost({ what: `${name}: drift`, value: Math.abs(driftPercent), unit: '%', atMost: DRIFT_MAX_PERCENT }),
    findAtMost({ what: `${name}: maximum`, value: maxMiB, unit: 'MiB', atMost: RESIDENT_MIB_MAX }),
  ];
}

function* backlog(records: number): Iterable<Filler> {
  for (let i = 0; i < records; i++) yield captureRecord('n00', i);
}
