/** W4: what Kafka remembers of a group's progress is never believed; and slots change hands while writes flow. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createLanes } from '@millrace/kafka';
import type { Service } from '@millrace/local-cluster';
import { slotOf } from '@millrace/ring';
import { startTestCluster, startWriter, until, type TestCluster } from '@millrace/testkit';
import { encodeWrite } from '@millrace/wire';
import { Kafka, logLevel } from 'kafkajs';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster({ shards: 2, writers: 0 });
}, 600_000);
afterAll(() => cluster?.stop());

const clean = async (acked?: Parameters<TestCluster['verify']>[0]): Promise<void> => {
  const verdict = await cluster.verify(acked, { requireEnded: true });
  expect(verdict.differences).toEqual([]);
  expect(verdict).toMatchObject({ clean: true, sumsJudged: true });
};

/** Sets the committed offsets of the writers' group; nobody may be in it. */
async function commitOffsets(to: 'earliest' | 'latest'): Promise<void> {
  const admin = new Kafka({ brokers: [...cluster.local.file.kafka], clientId: 'test', logLevel: logLevel.NOTHING }).admin();
  await admin.connect();
  try {
    await until('the group is empty', () => admin.resetOffsets({ groupId: 'shard-writer', topic: 'writes', earliest: to === 'earliest' }).then(() => true, () => false));
  } finally {
    await admin.disconnect();
  }
}

test.each(['earliest', 'latest'] as const)('W4 the group offsets are set to the %s while a backlog waits: every record is applied once', async (to) => {
  const first = await startWriter(cluster, { name: `before-${to}` });
  const before = await cluster.drive({ seed: `before-${to}`, writes: 600 });
  await clean(before.receipts);
  await first.stop();
  const backlog = await cluster.drive({ seed: `backlog-${to}`, writes: 600, isBacklog: true });
  await commitOffsets(to);
  const second = await startWriter(cluster, { name: `after-${to}` });
  await clean(backlog.receipts);
  await second.stop();
});

test('W3 writers join and leave while writes flow: slots change hands, nothing is lost or doubled', async () => {
  const writers: Service[] = [await startWriter(cluster, { name: 'stays' })];
  const changes = (async () => {
    for (const name of ['joins-1', 'joins-2']) writers.push(await startWriter(cluster, { name }));
    await writers[1]?.stop();
    await writers[2]?.kill('SIGKILL');
  })();
  const report = await cluster.drive({ seed: 'rebalance', writes: 3_000, ratePerSecond: 400 });
  await changes;
  await clean(report.receipts);
  for (const writer of writers) await writer.stop();
});

test('a second writer joins while the first is paused by its backlog: no slot stays paused', async () => {
  const lanes = await createLanes({ kafka: cluster.kafka, topic: 'writes', log: cluster.log, limits: { recordsPerRequestMax: 1_000, queuedRecordsMax: 50_000, queuedBytesMax: 64_000_000, requestTimeoutMs: 10_000 } });
  const slots = cluster.local.file.slots;
  const backlog = Array.from({ length: 40_000 }, (_, i) => `demo/backlog-${i}`).map((key) => ({
    slot: slotOf(key, slots),
    key,
    value: encodeWrite({ type: 'account.open', idempotencyKey: 'open', data: { account: key.slice(5), currency: 'GBP' } }),
  }));
  await lanes.sendMany(backlog);
  await lanes.close();
  const writers = await Promise.all(['backlog-1', 'backlog-2'].map((name) => startWriter(cluster, { name })));
  await clean();
  for (const writer of writers) await writer.stop();
});

test('W6 a write that is sent again after every process was restarted is still the first one', async () => {
  const send = (amount: string) =>
    cluster.call('POST', '/v1/accounts/again/deposits', { body: { amount, currency: 'GBP' }, idempotencyKey: 'the-same', headers: { prefer: 'wait=20' } });
  let writer = await startWriter(cluster, { name: 'first-life' });
  await cluster.call('POST', '/v1/accounts', { body: { account: 'again', currency: 'GBP' }, idempotencyKey: 'open', headers: { prefer: 'wait=20' } });
  expect((await send('5.00')).body).toMatchObject({ status: 'applied' });
  await writer.stop();
  await cluster.local.process('ingest-gateway-1').kill('SIGKILL');
  writer = await startWriter(cluster, { name: 'second-life' });
  await until('the gateway is back', () => cluster.call('GET', '/v1/accounts/again').then(({ status }) => status === 200, () => false));
  expect((await send('5.00')).body).toMatchObject({ status: 'applied' });
  const other = await send('6.00');
  expect(other.status === 409 || JSON.stringify(other.body).includes('idempotency_mismatch')).toBe(true);
  expect((await cluster.call('GET', '/v1/accounts/again')).body).toMatchObject({ balance: '5.00' });
  await clean();
  await writer.stop();
});
