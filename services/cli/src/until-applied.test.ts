import { expect, test } from '@jest/globals';
import type { ShardId, Slot } from '@millrace/write';

import { NO_SLOTS, NONE_OPEN, together, type ShardStanding, type SlotStanding, type Standing } from './standing.ts';
import { ShardSilent, untilApplied } from './until-applied.ts';

const output = { live: () => undefined };
const { signal } = new AbortController();

const slot = (shard: string, lagRecords: bigint, unrelayed: bigint): SlotStanding => ({
  slot: (shard === 'a' ? 0 : 1) as Slot, shard: shard as ShardId, state: 'ACTIVE', position: unrelayed, relayed: 0n, end: unrelayed + lagRecords, lagRecords, lagSeconds: 0,
});
const answers = (shard: string, lagRecords: bigint, { sagaLag = 0n, unrelayed = 0n, open = 0, parkedKeys = 0 } = {}): ShardStanding => ({
  shard: shard as ShardId,
  states: { ...NO_SLOTS, ACTIVE: 1 },
  slots: [slot(shard, lagRecords, unrelayed)],
  sagas: [slot(shard, sagaLag, 0n)],
  open: { ...NONE_OPEN, orders: open, sagas: open, parkedKeys },
  parkedKeys: 0n,
  parkedRecords: 0n,
});
const silent = (shard: string): ShardStanding => ({ shard: shard as ShardId, problem: 'connection refused', slots: [], sagas: [], open: NONE_OPEN, states: NO_SLOTS, parkedKeys: 0n, parkedRecords: 0n });

/** The looks in this order, the last again and again, each at its minute. */
function looking(...looks: readonly (readonly ShardStanding[])[]): { look: () => Promise<Standing>; nowMs: () => number; looked: () => number } {
  let looked = 0;
  const slots = Math.max(...looks.map((look) => look.length));
  return { look: async () => together(looks[Math.min(looked++, looks.length - 1)]!, slots), nowMs: () => looked * 60_000, looked: () => looked };
}

test('a shard that does not answer is waited for, though no other lags', async () => {
  const { looked, ...at } = looking([answers('a', 0n), silent('b')], [answers('a', 0n), answers('b', 5n)], [answers('a', 0n), answers('b', 0n)]);
  await untilApplied({ ...at, output, signal });
  expect(looked()).toBe(3);
});

test('a shard that stays silent ends the wait with its name, and not with a verdict', async () => {
  const { looked: _, ...at } = looking([answers('a', 0n), silent('b')]);
  await expect(untilApplied({ ...at, output, signal })).rejects.toThrow(ShardSilent);
  await expect(untilApplied({ ...at, output, signal })).rejects.toThrow(/Shard b .*connection refused/);
});

test('a lag that does not shrink ends the wait: the verdict tells what is missing', async () => {
  const { looked, ...at } = looking([answers('a', 7n)]);
  await untilApplied({ ...at, output, signal });
  expect(looked()).toBe(4);
});

test('a shard that is back counts as progress, however much it lags', async () => {
  const { looked, ...at } = looking([answers('a', 0n), silent('b')], [answers('a', 0n), silent('b')], [answers('a', 0n), answers('b', 900n)], [answers('a', 0n), answers('b', 900n)], [answers('a', 0n), answers('b', 0n)]);
  await untilApplied({ ...at, output, signal });
  expect(looked()).toBe(5);
});

test('a slot that no shard holds is waited for: its lag is unknown', async () => {
  const fenced: ShardStanding = { ...answers('b', 0n), slots: [], sagas: [], states: { ...NO_SLOTS, INCOMING: 1 } };
  const { looked, ...at } = looking([answers('a', 0n), fenced], [answers('a', 0n), answers('b', 3n)], [answers('a', 0n), answers('b', 0n)]);
  await untilApplied({ ...at, output, signal });
  expect(looked()).toBe(3);
});

test.each([
  ['records of stream sagas', { sagaLag: 1n }],
  ['messages that are not sent on', { unrelayed: 1n }],
  ['a saga that is open', { open: 1 }],
])('%s are waited for', async (_what, left) => {
  const { looked, ...at } = looking([answers('a', 0n, left)], [answers('a', 0n)]);
  expect(await untilApplied({ ...at, output, signal })).toEqual(NONE_OPEN);
  expect(looked()).toBe(2);
});

test('a saga that ends counts as progress, though the lag grows meanwhile', async () => {
  const looks = [9, 8, 7, 6, 5, 4].map((open) => [answers('a', BigInt(20 - open), { open })]);
  const { looked, ...at } = looking(...looks, [answers('a', 0n)]);
  expect(await untilApplied({ ...at, output, signal })).toEqual(NONE_OPEN);
  expect(looked()).toBe(7);
});

test('a saga that never ends ends the wait, and is told', async () => {
  const { looked, ...at } = looking([answers('a', 0n, { open: 2 })]);
  expect(await untilApplied({ ...at, output, signal })).toMatchObject({ orders: 2, sagas: 2 });
  expect(looked()).toBe(4);
});

test('a key at which a record of a saga is parked is waited for: an operator may let it go; who does not, is told of it', async () => {
  const { looked, ...at } = looking([answers('a', 0n, { parkedKeys: 1 })], [answers('a', 0n)]);
  expect(await untilApplied({ ...at, output, signal })).toEqual(NONE_OPEN);
  expect(looked()).toBe(2);
  const { looked: looks, ...never } = looking([answers('a', 0n, { parkedKeys: 1 })]);
  expect(await untilApplied({ ...never, output, signal })).toMatchObject({ sagas: 0, parkedKeys: 1 });
  expect(looks()).toBe(4);
});
