/**
 * Processes die and stall at random moments under load; afterwards every acked write is applied once.
 *
 * One cluster for all: each fault has a load of its own, and the ledger is checked from the first record each time.
 */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { topicOffsets } from '@millrace/kafka';
import { startTestCluster, until, type TestCluster } from '@millrace/testkit';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster({ shards: 2, writers: 2 });
}, 600_000);
afterAll(() => cluster?.stop());

const WRITES = 2_000;

/** Drives a load, lets the fault happen somewhere in its middle, and wants a clean ledger with every receipt in it. */
async function survives(seed: string, fault: () => void, ratePerSecond?: number): Promise<void> {
  const acked = 200 + Math.floor(Math.random() * 1_000);
  let happened = false;
  const act = (): void => {
    happened = true;
    fault();
  };
  const report = await cluster.drive({ seed: `${seed}-${Date.now() % 1_000_000}`, writes: WRITES, at: { acked, act }, ...(ratePerSecond ? { ratePerSecond } : {}) });
  expect(happened).toBe(true);
  expect(report).toMatchObject({ ending: { is: 'complete' }, acked: WRITES, unsettled: 0 });
  const verdict = await cluster.verify(report.receipts, { requireEnded: true });
  expect(verdict.differences).toEqual([]);
  expect(verdict).toMatchObject({ clean: true, sumsJudged: true, acked: WRITES });
}

describe('under load', () => {
  test.each([
    ['a shard-writer', 'shard-writer-1'],
    ['the gateway', 'ingest-gateway-1'],
    ['a shard', 'shard-a'],
    ['the only broker', 'kafka-1'],
  ])('W1 %s is killed', async (_what, name) => {
    await survives(name, () => void cluster.local.process(name).kill('SIGKILL'));
  }, 600_000);

  test('W3 a writer that was paused beyond its session wakes as a zombie and loses on the row', async () => {
    const writer = cluster.local.process('shard-writer-2');
    const other = cluster.local.process('shard-writer-1');
    await survives('zombie', () => {
      void writer.kill('SIGSTOP');
      // The group gives its slots to the other writer; then the sleeper wakes with turns that it believes are its own.
      void until('the other writer applies the slots of the paused one', async () => (await lag()) === 0, { deadlineMs: 180_000 }).finally(() => void writer.kill('SIGCONT'));
    });
    expect(other.pid).toBeDefined();
  }, 600_000);

  test('W8 one shard is down for a while: its writes wait, the others go on, nothing is parked', async () => {
    await survives('down', () => {
      const shard = cluster.local.process('shard-b');
      void shard.kill('SIGSTOP');
      setTimeout(() => void shard.kill('SIGCONT'), 8_000);
    });
    const parked = await cluster.shard('b').query({ text: 'select 1 from parked' });
    expect(parked).toEqual([]);
  }, 600_000);
});

/** Records of `writes` that are not applied, over all slots. */
async function lag(): Promise<number> {
  const ends = await topicOffsets({ kafka: cluster.kafka, topic: 'writes' });
  const positions = (await Promise.all(['a', 'b'].map((id) => cluster.shard(id).query<{ slot: number; next_offset: bigint }>({ text: `select slot, next_offset from position where stream = 'writes'` })))).flat();
  const applied = new Map(positions.map(({ slot, next_offset }) => [slot, next_offset]));
  return ends.reduce((sum, { slot, high }) => sum + Number(high - (applied.get(slot) ?? 0n)), 0);
}
