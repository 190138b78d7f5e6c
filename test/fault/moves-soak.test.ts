/**
 * A soak: the ring changes at random under full load while processes die and stall at random, round after round; after
 * each the ledger is checked from the first record.
 *
 * For as many minutes as SOAK_MINUTES says; without it nothing runs. SOAK_SEED makes the choices of an earlier run again;
 * when what strikes is left to the machine.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startReader, startTestCluster, type Plan, type TestCluster } from '@millrace/testkit';
import { createRandom } from '@millrace/workload';

const minutes = Number(process.env['SOAK_MINUTES'] ?? '0');
const seed = process.env['SOAK_SEED'] ?? String(Date.now() % 1_000_000);
const soak = minutes > 0 ? test : test.skip;
const random = createRandom(seed);
const NAMES = ['a', 'b', 'c', 'd', 'e'] as const;

let cluster: TestCluster;
beforeAll(async () => {
  if (minutes > 0) cluster = await startTestCluster({ shards: 3, writers: 2, ringManagers: 2, gateways: 2, slots: 32, env: { MOVES_PER_PAIR: '3' } });
}, 600_000);
afterAll(() => cluster?.stop());

interface Change {
  readonly what: string;
  readonly make: () => Promise<Plan>;
}

async function someChange(): Promise<Change> {
  const { ring } = cluster;
  const members = await ring.members();
  const here = members.map(({ shard }) => shard);
  const away = NAMES.filter((name) => !here.includes(name));
  const shard = random.pick(here);
  const weight = random.pick([0.5, 1, 1, 2, 3]);
  const changes: Change[] = [{ what: `${shard} gets weight ${weight}`, make: async () => ring.ended(await ring.start({ changes: [{ shard, weight }] })) }];
  if (away.length > 0) changes.push({ what: `${away[0]} joins`, make: () => ring.add(away[0]!) });
  if (here.length > 2) changes.push({ what: `${shard} leaves`, make: () => ring.remove(shard) });
  return random.pick(changes);
}

/** Kills or suspends some processes, one after the other. The supervisor starts again what has died. */
async function strike(said: (what: string) => void): Promise<void> {
  for (let faults = 1 + random.below(3); faults > 0; faults -= 1) {
    const beforeMs = random.below(3_000);
    const victim = random.pick(cluster.local.processes());
    const sleepsMs = random.chance(0.4) ? 1_000 + random.below(14_000) : undefined;
    await pause(beforeMs);
    said(sleepsMs === undefined ? `${victim.name} is killed` : `${victim.name} sleeps for ${sleepsMs} ms`);
    if (sleepsMs === undefined) await victim.kill('SIGKILL');
    else {
      await victim.kill('SIGSTOP');
      await pause(sleepsMs);
      await victim.kill('SIGCONT');
    }
  }
}

soak(`for ${minutes} minutes, seed ${seed}`, async () => {
  const endsAtMs = Date.now() + minutes * 60_000;
  const said: string[] = [];
  const say = (what: string): void => {
    said.push(what);
    process.stderr.write(`${new Date().toISOString()} ${what}\n`);
  };
  for (let round = 1; Date.now() < endsAtMs; round += 1) {
    const run = `r${round}-${seed}`;
    const { what, make } = await someChange();
    say(`round ${round}: ${what}`);
    const load = cluster.load(run, random.pick([200, 500, 1_000, 20_000]));
    const reader = startReader(cluster, Array.from({ length: 6 }, (_, i) => `${run}-${i}`));
    const struck = strike(say);
    const plan = await make().finally(() => struck).finally(() => Promise.all([load.stop(), reader.stop()]));
    const [report, { reads, refused, wrong }] = [await load.stop(), await reader.stop()];
    say(`round ${round}: plan ${plan.state}, ${plan.moves.length} moves, ${report.acked} acked, ${reads} reads, refused ${JSON.stringify(refused)}`);
    expect(report).toMatchObject({ ending: { is: 'complete' }, failed: 0, unsettled: 0 });
    expect(wrong).toEqual([]);
    expect(plan.state).toBe('done');
    const verdict = await cluster.verify(report.receipts, { requireEnded: true });
    expect({ said, differences: verdict.differences }).toEqual({ said, differences: [] });
    expect(verdict).toMatchObject({ clean: true, sumsJudged: true, moving: 0 });
  }
}, minutes * 60_000 + 900_000);
