/** Resident memory of the ring-manager while it moves a slot that is large. */
import type { Bench, Report } from '../harness/bench.ts';
import { findAtMost } from '../harness/findings.ts';
import { createInstallation } from '../harness/installation.ts';
import { checkpoint } from '../harness/postgres.ts';
import { SAMPLE_MS, sampled } from '../harness/resident.ts';
import type { Measure } from '../harness/rounds.ts';
import { fillSlot } from '../harness/slot-rows.ts';
import { median } from '../harness/stats.ts';

const SLOTS = 64;
const JOURNAL_ROWS_PER_PAYMENT = 10;
const GROWTH_MAX_PERCENT = 10;

export async function moveMemory(bench: Bench): Promise<Report> {
  const { servers, options } = bench;
  const installation = await createInstallation(bench, { name: 'move-memory', slots: SLOTS });
  const { ring, ringManager, urlOf } = installation;
  const slot = (await ring.owners()).indexOf('a');
  await fillSlot(urlOf('a'), { slot, slots: SLOTS, journalRows: options.journalRows, journalRowsPerPayment: JOURNAL_ROWS_PER_PAYMENT });
  await checkpoint(servers.postgres);
  const asked = await ring.move(slot, 'b');
  const moving = await sampled({ ringManager }, () => ring.until(asked, ({ progress }) => progress.activated_at !== undefined));
  const purging = await sampled({ ringManager }, () => ring.until(asked, ({ state }) => state === 'done'));
  const { progress } = await ring.read(asked);
  await installation.remove();
  const [samples = [], later = []] = [moving.byName['ringManager'], purging.byName['ringManager']];
  const measure: Measure = { rows: progress.rows, seconds: moving.seconds, ...thirds(samples), maxMiB: Math.max(...samples), purgeSeconds: purging.seconds, purgeMaxMiB: Math.max(...later) };
  return {
    name: 'move-memory',
    title: 'Memory of the mover',
    method: `One slot of ${options.journalRows} journal rows, a tenth as many payments and its accounts, made by SQL, moved without load. Resident memory of the ring-manager, sampled every ${SAMPLE_MS} ms from the request to the activation of the target, and while the source is purged; growth is the median of the last third over that of the second; in the first the process warms up.`,
    columns: [
      { metric: 'rows', title: 'rows' },
      { metric: 'seconds', title: 'seconds' },
      { metric: 'firstThirdMiB', title: '1st third MiB' },
      { metric: 'secondThirdMiB', title: '2nd third MiB' },
      { metric: 'lastThirdMiB', title: 'last third MiB' },
      { metric: 'maxMiB', title: 'max MiB' },
      { metric: 'purgeSeconds', title: 'purge seconds' },
      { metric: 'purgeMaxMiB', title: 'purge max MiB' },
    ],
    results: [{ name: 'ring-manager', measures: [measure] }],
    findings: [findAtMost({ what: 'growth of the ring-manager', value: measure['growthPercent'] ?? Number.NaN, unit: '%', atMost: GROWTH_MAX_PERCENT })],
  };
}

/** In the first third the process warms up; what grows with the rows would grow from the second to the last as well. */
function thirds(samples: readonly number[]): Measure {
  const third = Math.floor(samples.length / 3);
  const firstThirdMiB = median(samples.slice(0, third));
  const secondThirdMiB = median(samples.slice(third, -third));
  const lastThirdMiB = median(samples.slice(-third));
  return { firstThirdMiB, secondThirdMiB, lastThirdMiB, growthPercent: (lastThirdMiB / secondThirdMiB - 1) * 100 };
}
