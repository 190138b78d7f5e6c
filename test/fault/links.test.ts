/** Links between a writer and its shards fail at the worst moments: the reply to a COMMIT is lost, a link hangs. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Service } from '@millrace/local-cluster';
import { must } from '@millrace/write';
import { postgresCommit, startFaultProxy, startTestCluster, startWriter, until, type FaultProxy, type TestCluster } from '@millrace/testkit';

let cluster: TestCluster;
let writer: Service;
const proxies = new Map<string, FaultProxy>();
const proxy = (id: string): FaultProxy => must(proxies.get(id), `a proxy before shard ${id}`);

beforeAll(async () => {
  cluster = await startTestCluster({ shards: 2, writers: 0 });
  for (const { id, url } of cluster.local.file.shards) proxies.set(id, await startFaultProxy({ host: '127.0.0.1', port: Number(new URL(url).port) }));
  writer = await startWriter(cluster, { name: 'writer-behind-proxies', shardPorts: Object.fromEntries([...proxies].map(([id, { port }]) => [id, port])) });
}, 600_000);
afterAll(async () => {
  await writer?.stop();
  for (const each of proxies.values()) await each.close();
  await cluster?.stop();
});

test('W5 a COMMIT whose reply is lost is read again, never assumed: every write is applied once', async () => {
  let lost = 0;
  let over = false;
  const losing = (async () => {
    while (!over) {
      await Promise.race([proxy('a').loseNextReply(postgresCommit), until('the load is over', () => over, { deadlineMs: 240_000 })]);
      if (!over) lost += 1;
    }
  })();
  const report = await cluster.drive({ seed: 'lost-commit', writes: 1_500, isBacklog: true });
  await until('some replies were lost while turns ran', () => lost >= 3);
  over = true;
  await losing;
  const verdict = await cluster.verify(report.receipts, { requireEnded: true });
  expect(verdict.differences).toEqual([]);
  expect(verdict).toMatchObject({ clean: true, sumsJudged: true, acked: report.acked });
  expect(report).toMatchObject({ ending: { is: 'complete' }, unsettled: 0 });
});

test('W8 a link that hangs half open pauses its shard alone, and the turns go on when it is back', async () => {
  const positions = async (id: string): Promise<bigint> => {
    const rows = await cluster.shard(id).query<{ sum: bigint }>({ text: `select sum(next_offset)::bigint as sum from position where stream = 'writes'` });
    return must(rows[0], 'a sum').sum;
  };
  proxy('a').setBlackhole(['to-client']);
  const before = await positions('b');
  const report = await cluster.drive({ seed: 'half-open', writes: 800, isBacklog: true });
  await until('the other shard goes on', async () => (await positions('b')) > before + 100n);
  proxy('a').setBlackhole([]);
  proxy('a').cut();
  const verdict = await cluster.verify(report.receipts, { requireEnded: true });
  expect(verdict.differences).toEqual([]);
  expect(verdict).toMatchObject({ clean: true, sumsJudged: true, acked: report.acked });
  expect(report).toMatchObject({ ending: { is: 'complete' }, unsettled: 0 });
});
