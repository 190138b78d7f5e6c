/**
 * Shards join, leave and change weight under load, while clients read what they have just written.
 *
 * One cluster for all: the tests follow each other. After each the ledger is checked from the first record, and no
 * client has seen a refusal, an older state, or none.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startReader, startTestCluster, type Plan, type TestCluster } from '@millrace/testkit';

const SLOTS = 32;

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster({ shards: 2, writers: 2, gateways: 2, slots: SLOTS });
  const report = await cluster.drive({ seed: 'before', writes: 4_000 });
  expect(report).toMatchObject({ ending: { is: 'complete' }, acked: 4_000 });
}, 600_000);
afterAll(() => cluster?.stop());

/** One account for every fourth slot. */
function accountsOf(run: string): readonly string[] {
  const bySlot = new Map<number, string>();
  for (let i = 0; bySlot.size < SLOTS / 4; i += 1) {
    const slot = cluster.slotOf(`${run}-${i}`);
    if (slot % 4 === 0 && !bySlot.has(slot)) bySlot.set(slot, `${run}-${i}`);
  }
  return [...bySlot.values()];
}

/** Changes the ring under load and wants nobody to have noticed. */
async function unnoticed(run: string, change: () => Promise<Plan>): Promise<Plan> {
  const load = cluster.load(run);
  const reader = startReader(cluster, accountsOf(run));
  const plan = await change().finally(() => Promise.all([load.stop(), reader.stop()]));
  const [report, { reads, refused, wrong }] = [await load.stop(), await reader.stop()];
  expect(report).toMatchObject({ ending: { is: 'complete' }, failed: 0, unsettled: 0, retryReasons: {} });
  expect(wrong).toEqual([]);
  // A slow machine is late; nothing else keeps a read from its answer.
  expect(Object.keys(refused).filter((code) => code !== 'not_yet_applied')).toEqual([]);
  expect(reads).toBeGreaterThan(0);
  expect(plan.state).toBe('done');
  expect((await cluster.ring.moves(plan)).filter(({ state }) => state !== 'done')).toEqual([]);
  const verdict = await cluster.verify(report.receipts, { requireEnded: true });
  expect(verdict.differences).toEqual([]);
  expect(verdict).toMatchObject({ clean: true, sumsJudged: true, moving: 0, acked: report.acked });
  return plan;
}

async function owned(): Promise<Readonly<Record<string, number>>> {
  return Object.fromEntries((await cluster.ring.members()).map(({ shard, slots }) => [shard, slots]));
}

test('two shards join at once, and several slots move at a time: each shard has its share', async () => {
  const plan = await unnoticed('join', () => cluster.ring.add('c', 'd'));
  expect(await owned()).toEqual({ a: 8, b: 8, c: 8, d: 8 });
  expect(plan.moves).toHaveLength(16);
  expect(new Set(plan.moves.map(({ target }) => target))).toEqual(new Set(['c', 'd']));
}, 600_000);

test('a shard leaves: its slots go to the others, its Postgres stops', async () => {
  const plan = await unnoticed('leave', () => cluster.ring.remove('a'));
  expect(plan.moves).toHaveLength(8);
  expect(Object.keys(await owned())).toEqual(['b', 'c', 'd']);
  expect(cluster.local.file.shards.map(({ id }) => id)).toEqual(['b', 'c', 'd']);
}, 600_000);

test('weights change, and back by the reversal of the plan: slots move away and return to the rows they had left', async () => {
  const before = await owned();
  const there = await unnoticed('weight', async () => cluster.ring.ended(await cluster.ring.start({ changes: [{ shard: 'b', weight: 3 }] })));
  expect((await owned())['b']).toBeGreaterThan(before['b']!);
  const back = await unnoticed('reverse', async () => cluster.ring.ended(await cluster.ring.start({ reverse_of: there.id })));
  expect(back.moves).toHaveLength(there.moves.length);
  expect(await owned()).toEqual(before);
}, 600_000);

test('a shard of a name that has left joins anew', async () => {
  await unnoticed('rejoin', () => cluster.ring.add('a'));
  expect(await owned()).toEqual({ a: 8, b: 8, c: 8, d: 8 });
}, 600_000);
