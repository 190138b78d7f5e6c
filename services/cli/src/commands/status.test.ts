import { expect, test } from '@jest/globals';
import type { ShardId, Slot } from '@millrace/write';

import { NO_SLOTS, together, totalsOf, type ShardStanding, type SlotStanding } from '../standing.ts';
import { format, ratesOf } from './status.ts';

const slotAt = (slot: number, shard: string, position: bigint): SlotStanding => ({
  slot: slot as Slot, shard: shard as ShardId, state: 'ACTIVE', position, relayed: position, end: position, lagRecords: 0n, lagSeconds: 0,
});
const shardOf = (shard: string, slots: readonly SlotStanding[], states: Partial<ShardStanding['states']>): ShardStanding => ({
  shard: shard as ShardId, slots, sagas: slots, open: { orders: 2, sagas: 3, oldestSeconds: 7, parkedKeys: 0 }, states: { ...NO_SLOTS, ...states }, parkedKeys: 0n, parkedRecords: 0n,
});

test('a slot that was asked on both sides of a fence counts once, where it is further', () => {
  const { slots, unheld } = together([shardOf('a', [slotAt(0, 'a', 5n), slotAt(1, 'a', 1n)], {}), shardOf('b', [slotAt(0, 'b', 7n)], {})], 3);
  expect(slots.map(({ slot, shard }) => `${slot} ${shard}`)).toEqual(['0 b', '1 a']);
  expect(unheld).toBe(1);
  expect(totalsOf(slots).applied).toBe(8n);
});

test('a slot that came to a shard makes its rate no higher than what was written to it', () => {
  const before = [slotAt(0, 'a', 1_000_000n), slotAt(1, 'b', 10n)];
  expect(ratesOf(before, [slotAt(0, 'b', 1_000_050n), slotAt(1, 'b', 20n)], 2).appliedPerSecond).toBe(30);
});

test('moves are seen shard by shard, and a slot that no shard holds is told', () => {
  const shards = [shardOf('a', [slotAt(0, 'a', 5n), slotAt(1, 'a', 1n)], { ACTIVE: 1, MOVING: 1, MOVED: 1 }), shardOf('b', [], { INCOMING: 2 })];
  const { slots, sagas, open, unheld } = together(shards, 3);
  const rates = { ackedPerSecond: 0, appliedPerSecond: 0 };
  const figures = (of: readonly SlotStanding[]) => ({ ...totalsOf(of), ...rates });
  const statuses = shards.map((shard) => ({ ...shard, totals: totalsOf(shard.slots), ...rates, sagas: { slots: shard.sagas, ...figures(shard.sagas) } }));
  const text = format({ epoch: 4, slots: 3, totals: figures(slots), sagas: figures(sagas), open, unheld, shards: statuses, services: [] }, false);
  const lines = text.split('\n').map((line) => line.trim().split(/ {2,}/).slice(0, 4).join(' '));
  expect(text.split('\n').find((line) => line.includes('all') && line.endsWith('7'))).toMatch(/ 6 +4 +7$/);
  expect(lines).toEqual([
    'epoch 4, 3 slots',
    'shard slots moving incoming',
    'a 2 1 0',
    'b 0 0 2',
    'all 2 1 2',
    'sagas log end applied lag',
    'a 6 6 0',
    'b 0 0 0',
    'all 6 6 0',
    '1 slots are held by no shard that answered: they are between fence and activation of a move, or their shard is down',
  ]);
});
