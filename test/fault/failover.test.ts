/** Three brokers, replication 3, min.insync 2: one of them is killed under load, and no acked write is lost. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startTestCluster, type TestCluster } from '@millrace/testkit';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster({ brokers: 3, shards: 1, writers: 1 });
}, 600_000);
afterAll(() => cluster?.stop());

test('the leader of some slots is killed: others take over, every acked write is applied once', async () => {
  const act = (): void => void cluster.local.process('kafka-2').kill('SIGKILL');
  const report = await cluster.drive({ seed: 'failover', writes: 1_500, at: { acked: 400, act } });
  expect(report).toMatchObject({ ending: { is: 'complete' }, acked: 1_500, unsettled: 0 });
  const verdict = await cluster.verify(report.receipts, { requireEnded: true });
  expect(verdict.differences).toEqual([]);
  expect(verdict).toMatchObject({ clean: true, sumsJudged: true, acked: 1_500 });
}, 600_000);
