/** W8: a record that can never apply parks its key and those behind it; an operator releases them in order. */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createLanes, type Lanes } from '@millrace/kafka';
import { slotOf } from '@millrace/ring';
import { releaseRecord, listParked, type ReleaseAction } from '@millrace/slot-processor';
import { encodeWrite } from '@millrace/wire';
import { startTestCluster, until, type TestCluster } from '@millrace/testkit';

let cluster: TestCluster;
let lanes: Lanes;
beforeAll(async () => {
  cluster = await startTestCluster({ shards: 2, writers: 1 });
  lanes = await createLanes({ kafka: cluster.kafka, topic: 'writes', log: cluster.log, limits: { recordsPerRequestMax: 500, queuedRecordsMax: 5_000, queuedBytesMax: 10_000_000, requestTimeoutMs: 10_000 } });
}, 600_000);
afterAll(async () => {
  await lanes?.close();
  await cluster?.stop();
});

const slots = (): number => cluster.local.file.slots;
const raw = (key: string, value: string) => lanes.send({ slot: slotOf(key, slots()), key, value });
const write = (key: string, type: string, id: string, data: unknown) => raw(key, encodeWrite({ type, idempotencyKey: id, data }));
const release = async (key: string, action: ReleaseAction, id: string) => lanes.send(releaseRecord({ slot: (await parked(key))!.slot, key, action, id }));
const parked = async (key: string) => (await Promise.all(['a', 'b'].map((id) => listParked(cluster.shard(id), 100)))).flat().find((each) => each.key === key);
const balance = async (account: string) => (await cluster.call('GET', `/v1/accounts/${account}`)).body['balance'];

test('garbage parks its key; a skip refuses it and applies what waited, in order', async () => {
  const key = 'demo/parked';
  await write(key, 'account.open', 'open', { account: 'parked', currency: 'GBP' });
  await raw(key, 'this is not JSON');
  await write(key, 'account.deposit', 'd1', { account: 'parked', amount: '10.00', currency: 'GBP' });
  await write(key, 'payment.capture', 'p1', { payment: 'p', account: 'parked', amount: '4.00', currency: 'GBP' });
  await write('demo/other', 'account.open', 'open', { account: 'other', currency: 'GBP' });
  await until('three records wait', async () => (await parked(key))?.records === 3n);
  expect(await parked(key)).toMatchObject({ reason: 'the value is not JSON' });
  await until('another key goes on', async () => (await cluster.call('GET', '/v1/accounts/other')).status === 200);
  expect(await balance('parked')).toBe('0.00');
  expect((await cluster.verify()).clean).toBe(true);

  await release(key, 'retry', 'still-bad');
  await until('the retry found it still poisoned', async () => (await cluster.verify()).clean && (await parked(key))?.records === 3n);
  await release(key, 'skip', 'skip-it');
  await until('nothing waits', async () => (await parked(key)) === undefined);
  expect(await balance('parked')).toBe('6.00');
  const verdict = await cluster.verify(undefined, { requireEnded: true });
  expect(verdict.differences).toEqual([]);
  expect(verdict).toMatchObject({ clean: true, sumsJudged: true });
});

test('what Postgres refuses as data is found by halving and parks that key alone; a retry applies it once it can', async () => {
  for (const id of ['a', 'b']) {
    await cluster.shard(id).query({ text: `alter table account add constraint poison check (key <> 'demo/poison' or balance < 500)` });
  }
  await write('demo/poison', 'account.open', 'open', { account: 'poison', currency: 'JPY' });
  const neighbours = Array.from({ length: 200 }, (_, i) => `n${i}`);
  await Promise.all([
    ...neighbours.map((id) => write(`demo/${id}`, 'account.open', 'open', { account: id, currency: 'JPY' })),
    write('demo/poison', 'account.deposit', 'too-much', { account: 'poison', amount: '900', currency: 'JPY' }),
    write('demo/poison', 'account.deposit', 'behind', { account: 'poison', amount: '1', currency: 'JPY' }),
  ]);
  await until('two records wait', async () => (await parked('demo/poison'))?.records === 2n);
  expect((await parked('demo/poison'))?.reason).toContain('23514');
  const verdict = await cluster.verify();
  expect(verdict.differences).toEqual([]);
  expect(verdict).toMatchObject({ clean: true, parked: 2 });

  await release('demo/poison', 'retry', 'too-early');
  await until('the release is refused', async () => {
    const rows = (await Promise.all(['a', 'b'].map((id) => cluster.shard(id).query<{ detail: { code?: string } }>({ text: `select detail from journal where key = 'demo/poison' and type = 'parked.release'` })))).flat();
    return rows.some(({ detail }) => detail.code === 'still_parked');
  });
  for (const id of ['a', 'b']) await cluster.shard(id).query({ text: 'alter table account drop constraint poison' });
  await release('demo/poison', 'retry', 'now');
  await until('nothing waits', async () => (await parked('demo/poison')) === undefined);
  expect(await balance('poison')).toBe('901');
  const after = await cluster.verify(undefined, { requireEnded: true });
  expect(after.differences).toEqual([]);
  expect(after).toMatchObject({ clean: true, sumsJudged: true, parked: 0 });
});

test('a key that waits with more records than one release may try stays in order over several releases', async () => {
  const key = 'demo/many';
  await write(key, 'account.open', 'open', { account: 'many', currency: 'JPY' });
  await raw(key, 'garbage');
  const waiting = Array.from({ length: 2_200 }, (_, i) => ({ slot: slotOf(key, slots()), key, value: encodeWrite({ type: 'account.deposit', idempotencyKey: `m${i}`, data: { account: 'many', amount: '1', currency: 'JPY' } }) }));
  await lanes.sendMany(waiting);
  await until('all of them wait', async () => (await parked(key))?.records === 2_201n);
  const slot = (await parked(key))!.slot;
  const releases = (['skip', 'retry', 'retry'] as const).map((action, i) => releaseRecord({ slot, key, action, id: `many-${i}` }));
  await lanes.sendMany([...releases, ...waiting.slice(0, 1)]);
  await until('nothing waits', async () => (await parked(key)) === undefined);
  expect(await balance('many')).toBe('2200');
  const verdict = await cluster.verify(undefined, { requireEnded: true });
  expect(verdict.differences).toEqual([]);
  expect(verdict).toMatchObject({ clean: true, sumsJudged: true });
});

test('W8 a key too long for an index parks like any other that no write can have, and its slot goes on', async () => {
  const long = `demo/${Array.from({ length: 4_000 }, () => Math.floor(Math.random() * 36).toString(36)).join('')}`;
  const slot = slotOf('demo/after-long', slots());
  await lanes.send({ slot, key: long, value: 'x' });
  await write('demo/after-long', 'account.open', 'open', { account: 'after-long', currency: 'GBP' });
  await until('the write behind it is applied', async () => (await cluster.call('GET', '/v1/accounts/after-long')).status === 200);
});

test('a record under a key of another slot parks, so that no row lies on the wrong shard', async () => {
  const key = 'demo/astray';
  const wrong = (slotOf(key, slots()) + 1) % slots();
  await lanes.send({ slot: wrong, key, value: encodeWrite({ type: 'account.open', idempotencyKey: 'x', data: { account: 'astray', currency: 'GBP' } }) });
  await until('it is parked', async () => (await parked(key))?.reason.includes('another slot'));
  expect((await cluster.call('GET', '/v1/accounts/astray')).status).toBe(404);
  expect((await cluster.verify()).clean).toBe(true);

  await release(key, 'skip', 'away-with-it');
  await until('nothing waits', async () => (await parked(key)) === undefined);
  const verdict = await cluster.verify(undefined, { requireEnded: true });
  expect(verdict.differences).toEqual([]);
  expect(verdict).toMatchObject({ clean: true, sumsJudged: true });
});
