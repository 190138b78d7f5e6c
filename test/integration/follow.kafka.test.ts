/**
 * A writer follows slots that move by hand, under load, before the topology knows of it: no write is lost, doubled or
 * reordered, and the slots go on without a rebalance or a new topology.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { slotTables } from '@millrace/slot-processor';
import { startTestCluster, until, type TestCluster } from '@millrace/testkit';
import { must } from '@millrace/write';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster({ shards: 2, writers: 1, slots: 8 });
}, 300_000);
afterAll(() => cluster?.stop());

type Side = 'a' | 'b';

/** From here on the source refuses the slot. */
async function fence(slot: number, source: Side, target: Side): Promise<void> {
  await cluster.shard(source).transaction(async (tx) => {
    await tx.query({ text: 'select 1 from position where slot = $1 order by stream for update', values: [slot] });
    await tx.query({ text: `update slot set state = 'MOVED', moved_to = $2 where slot = $1`, values: [slot, target] });
  });
}

async function makeIncoming(slot: number, target: Side): Promise<void> {
  await cluster.shard(target).transaction(async (tx) => {
    await tx.query({
      text: `insert into slot (slot, state, epoch) values ($1, 'INCOMING', 2)
             on conflict (slot) do update set state = 'INCOMING', moved_to = null, epoch = slot.epoch + 2`,
      values: [slot],
    });
    for (const { name } of slotTables) await tx.query({ text: `delete from "${name}" where slot = $1`, values: [slot] });
  });
}

/** All rows at once, then the slot is ACTIVE. */
async function activate(slot: number, source: Side, target: Side): Promise<void> {
  const rows = await Promise.all(
    [...slotTables.map(({ name }) => name), 'position'].map(async (table) => {
      const [row] = await cluster.shard(source).query<{ rows: string }>({ text: `select coalesce(json_agg(t), '[]')::text as rows from "${table}" t where slot = $1`, values: [slot] });
      return { table, rows: must(row, 'an aggregate is one row').rows };
    }),
  );
  await cluster.shard(target).transaction(async (tx) => {
    await tx.query({ text: 'delete from position where slot = $1', values: [slot] });
    for (const { table, rows: json } of rows) await tx.query({ text: `insert into "${table}" select * from json_populate_recordset(null::"${table}", $1)`, values: [json] });
    await tx.query({ text: `update slot set state = 'ACTIVE', moved_to = null where slot = $1`, values: [slot] });
  });
  for (const { name } of slotTables) await cluster.shard(source).query({ text: `delete from "${name}" where slot = $1`, values: [slot] });
}

async function position(slot: number, shard: Side): Promise<bigint> {
  const rows = await cluster.shard(shard).query<{ next: bigint }>({ text: `select next_offset as next from position where stream = 'writes' and slot = $1`, values: [slot] });
  return must(rows[0], 'the shard has a position').next;
}

/** The topology as the rows are by now; only the checker needs it. */
async function publish(): Promise<void> {
  const rows = await cluster.shard('b').query<{ slot: number }>({ text: `select slot from slot where state = 'ACTIVE'` });
  const onB = new Set(rows.map(({ slot }) => slot));
  const owners = Array.from({ length: cluster.local.file.slots }, (_, slot) => (onB.has(slot) ? 'b' : 'a'));
  await cluster.control.query({
    text: `insert into topology (epoch, owners, created_by, reason) select max(epoch) + 1, $1, 'test', 'moved by hand' from topology`,
    values: [owners],
  });
}

async function slotsOf(shard: Side): Promise<readonly number[]> {
  const rows = await cluster.shard(shard).query<{ slot: number }>({ text: `select slot from slot where state = 'ACTIVE' order by slot` });
  return rows.map(({ slot }) => slot);
}

/** The position rows of a slot that left stay beside its signpost. */
function isSignpost(actual: string): boolean {
  return /^\d+ rows in position/.test(actual);
}

test('slots move away and back under load: each goes on at its new shard at once, and every write is applied once, in order', async () => {
  const writer = cluster.local.process('shard-writer-1');
  const before = writer.pid;
  const slots = (await slotsOf('a')).slice(0, 3);
  const load = cluster.drive({ seed: 'follow', writes: 12_000, ratePerSecond: 1_500 });
  await until('the load is applied', async () => (await Promise.all(slots.map((slot) => position(slot, 'a')))).every((next) => next > 20n));
  for (const [source, target] of [['a', 'b'], ['b', 'a'], ['a', 'b']] as const) {
    for (const slot of slots) {
      await makeIncoming(slot, target);
      await fence(slot, source, target);
      const fenced = await position(slot, source);
      await activate(slot, source, target);
      await until(`slot ${slot} goes on at ${target}`, async () => (await position(slot, target)) > fenced, { pollMs: 5 });
      expect(await position(slot, source)).toBe(fenced);
    }
  }
  const report = await load;
  await publish();
  const verdict = await cluster.verify(report.receipts);
  expect(verdict.differences.filter(({ actual }) => !isSignpost(actual))).toEqual([]);
  expect(verdict.acked).toBe(12_000);
  expect(writer.pid).toBe(before);
}, 300_000);

test('a slot whose target does not take it over waits, with its records kept or fetched again, and goes on when it does', async () => {
  const slot = must((await slotsOf('a'))[0], 'a slot');
  await makeIncoming(slot, 'b');
  await fence(slot, 'a', 'b');
  const fenced = await position(slot, 'a');
  const report = await cluster.drive({ seed: 'unowned', writes: 3_000, isBacklog: true });
  expect(await position(slot, 'a')).toBe(fenced);
  await activate(slot, 'a', 'b');
  await publish();
  const verdict = await cluster.verify(report.receipts);
  expect(verdict.differences.filter(({ actual }) => !isSignpost(actual))).toEqual([]);
  expect(await position(slot, 'b')).toBeGreaterThan(fenced);
}, 300_000);
