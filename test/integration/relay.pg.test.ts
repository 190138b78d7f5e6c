/** What a relay that begins publishes again from the journal of a real shard. */
import { expect, test } from '@jest/globals';
import type { Database, Sql } from '@millrace/postgres';
import { slotOf } from '@millrace/ring';
import { releaseRecord } from '@millrace/slot-processor';
import { until } from '@millrace/testkit';
import { encodeWrite, isNewer, parseOutcome, placeOf } from '@millrace/wire';
import { must, type Offset } from '@millrace/write';
import { readReleased } from '../../libs/slot-processor/src/journal.sql.ts';
import { RELAY_CATCH_UP_ROWS_MAX } from '../../libs/slot-processor/src/limits.ts';
import { sliceOf } from '../../libs/slot-processor/src/slices.ts';
import { database, slot, SLOTS, startLane, useShard } from './lane-shard.ts';

useShard();

test('what a release let go is published again by who follows a relay that died before, with the same bytes', async () => {
  const order = { order: 'a', account: 'a', currency: 'GBP', lines: [{ sku: 's', quantity: 2, unit_price: '1.00' }] };
  const values = [
    encodeWrite({ type: 'unknown.type', idempotencyKey: 'bad', data: {} }),
    encodeWrite({ type: 'order.place', idempotencyKey: 'order', data: order }),
    releaseRecord({ slot, key: 'demo/a', action: 'skip', id: '1' }).value as Buffer,
  ];
  const records = values.map((value, at) => ({ slot, offset: BigInt(at) as Offset, key: 'demo/a', value: Buffer.from(value), atMs: 1_700_000_000_000 }));
  const first = startLane(database);
  first.lane.offer(sliceOf({ slot, from: 0n as Offset, to: 3n as Offset }, records));
  await until('the start of the order is sent', () => first.sent.length === 1);
  expect(await database.query({ text: `select "offset"::int as at, detail ->> 'released_by' as by from journal where type = 'order.place'` })).toEqual([{ at: 1, by: '2' }]);
  // The order's own offset is behind the relay, its release is not.
  await database.query({ text: `update position set relayed_offset = 2 where stream = 'writes' and slot = $1`, values: [slot] });
  const second = startLane(database);
  second.lane.probe(slot);
  await until('the start of the order is sent again', () => second.sent.length === 1);
  expect(second.sent.map(({ value }) => String(value))).toEqual(first.sent.map(({ value }) => String(value)));
});

test('what a release let go is published again page by page, in its order, before the rows behind it', async () => {
  const behind = RELAY_CATCH_UP_ROWS_MAX + 50;
  const values = [
    encodeWrite({ type: 'unknown.type', idempotencyKey: 'bad', data: {} }),
    ...Array.from({ length: behind }, (_, n) => encodeWrite({ type: 'account.deposit', idempotencyKey: `w${n}`, data: { account: 'a', amount: '1.00', currency: 'GBP' } })),
    releaseRecord({ slot, key: 'demo/a', action: 'skip', id: '1' }).value as Buffer,
  ];
  const records = values.map((value, at) => ({ slot, offset: BigInt(at) as Offset, key: 'demo/a', value: Buffer.from(value), atMs: 1_700_000_000_000 }));
  const first = startLane(database);
  first.lane.offer(sliceOf({ slot, from: 0n as Offset, to: BigInt(records.length) as Offset }, records));
  await until('all is published', () => first.published.length === records.length);
  const last = records.length - 1;
  await database.query({ text: `update position set relayed_offset = $1 where stream = 'writes' and slot = $2`, values: [last, slot] });
  const pages: number[] = [];
  const counting: Database = {
    ...database,
    async query<R>(sql: Sql) {
      const rows = await database.query<R>(sql);
      if (sql.text.includes('from journal')) pages.push(rows.length);
      return rows;
    },
  };
  const second = startLane(counting);
  second.lane.probe(slot);
  await until('all is published again', () => second.published.length === records.length);
  expect(second.published.map(({ value }) => Number(parseOutcome(Buffer.from(value)).offset))).toEqual(records.map((_, at) => at));
  expect(pages).toEqual([1, RELAY_CATCH_UP_ROWS_MAX, 51]);
});

test('what a relay publishes again has the order in which it took effect, so that a receiver that had none of it takes all', async () => {
  const [b = '', c = ''] = Array.from({ length: 40 }, (_, n) => `k${n}`).filter((id) => slotOf(`demo/${id}`, SLOTS) === slot);
  const deposit = (account: string, n: number) => encodeWrite({ type: 'account.deposit', idempotencyKey: `w${n}`, data: { account, amount: '1.00', currency: 'GBP' } });
  const skip = (key: string, id: string) => releaseRecord({ slot, key, action: 'skip', id }).value as Buffer;
  const log: readonly (readonly [key: string, value: string | Buffer])[] = [
    ['demo/a', encodeWrite({ type: 'unknown.type', idempotencyKey: 'bad', data: {} })],
    [`demo/${b}`, encodeWrite({ type: 'unknown.type', idempotencyKey: 'bad', data: {} })],
    [`demo/${c}`, deposit(c, 2)],
    ['demo/a', deposit('a', 3)],
    [`demo/${c}`, deposit(c, 4)],
    ['demo/a', skip('demo/a', '1')],
    [`demo/${c}`, deposit(c, 6)],
    [`demo/${b}`, deposit(b, 7)],
    [`demo/${b}`, skip(`demo/${b}`, '2')],
    [`demo/${c}`, deposit(c, 9)],
  ];
  const records = log.map(([key, value], at) => ({ slot, offset: BigInt(at) as Offset, key, value: Buffer.from(value), atMs: 1_700_000_000_000 }));
  const first = startLane(database);
  first.lane.offer(sliceOf({ slot, from: 0n as Offset, to: BigInt(log.length) as Offset }, records));
  await until('all is published', () => first.published.length === log.length);
  await database.query({ text: `update position set relayed_offset = 0 where stream = 'writes' and slot = $1`, values: [slot] });
  const second = startLane(database);
  second.lane.probe(slot);
  await until('all is published again', () => second.published.length === log.length);
  for (const { published } of [first, second]) {
    const events = published.map(({ value }) => parseOutcome(Buffer.from(value)));
    expect(events.map(({ offset }) => Number(offset))).toEqual([2, 4, 0, 3, 5, 6, 1, 7, 8, 9]);
    expect(events.filter((event, n) => isNewer(event, n === 0 ? undefined : placeOf(must(events[n - 1], 'the one before'))))).toEqual(events);
  }
});

test('what releases let go is found by its index, however many rows the slot has, and whatever the planner believes', async () => {
  const { text, values = [] } = readReleased('writes', { slot, release: 7n as Offset, from: 20_001n as Offset, rowsMax: RELAY_CATCH_UP_ROWS_MAX });
  const plan = await database.transaction(async (tx) => {
    await tx.query({ text: 'set local enable_seqscan = off' });
    const add = (first: number, last: number, detail: string) =>
      tx.query({ text: `insert into journal select $1, 'writes', n, 0, 0, null, 'applied', 'demo/a', 'add', ${detail}, null from generate_series($2::int, $3::int) n`, values: [slot, first, last] });
    await add(1, 20_000, `'{"released_by": "7"}'::jsonb`);
    await tx.query({ text: 'analyze journal' });
    await add(20_001, 40_000, 'null');
    return tx.query<Record<string, string>>({ text: `explain ${text}`, values });
  });
  expect(plan.map((line) => Object.values(line)[0]).join('\n')).toContain('journal_released');
});
