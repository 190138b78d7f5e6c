/** Whether more slots cost more: the apply rate per core at 256 slots against 64. */
import type { Bench, Report } from '../harness/bench.ts';
import { findRatio } from '../harness/findings.ts';
import { interleave } from '../harness/rounds.ts';
import { DRAIN_COLUMNS, millraceApply } from './apply.ts';

export async function growth(bench: Bench): Promise<Report> {
  const sides = [64, 256].map((slots) => millraceApply(bench, { slots, name: `slots-${slots}` }));
  const results = await interleave(sides, bench.options.rounds);
  return {
    name: 'growth',
    title: 'Apply rate by number of slots',
    method: `As \`apply\`, ${bench.options.records} records; cores are those of the writer and both Postgres servers.`,
    columns: DRAIN_COLUMNS,
    results,
    findings: [
      findRatio(results, { what: '256 slots against 64, per core', a: 'slots-256', b: 'slots-64', metric: 'recordsPerCoreSecond', atLeast: 0.9 }),
    ],
  };
}
