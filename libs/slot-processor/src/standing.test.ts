import { describe, expect, test } from '@jest/globals';
import { createTopology } from '@millrace/ring';
import { createLog, createRegistry } from '@millrace/runtime';
import type { Shards } from '@millrace/topology';
import type { Epoch, ShardId, Slot } from '@millrace/write';
import type { Lane } from './lane.ts';
import { createProcessorMetrics } from './metrics.ts';
import { newSlotState, type SlotStates } from './slot-state.ts';
import { checkAddresses, createStanding } from './standing.ts';

const [a, b] = ['a', 'b'] as [ShardId, ShardId];
const log = createLog({ name: 'test', level: 'silent' });
const laneAt = (shard: ShardId): Lane => ({ shard, status: () => ({ records: 0, up: true, oldestAtMs: undefined, busySinceMs: undefined }) }) as Partial<Lane> as Lane;

/** Slot 0 is placed at a; slots 1 and 2 are b's, whose address nobody knows. */
function standing() {
  const registry = createRegistry();
  const slots: SlotStates = new Map([0, 1, 2].map((id) => [id as Slot, newSlotState(id as Slot)]));
  Object.assign(slots.get(0 as Slot)!, { lane: laneAt(a), phase: 'placed' });
  const topology = { current: () => createTopology({ epoch: 1 as Epoch, owners: [a, b, b] }) };
  const shards = { get: () => ({ query: () => Promise.reject(new Error('not counted')) }) } as unknown as Shards;
  const measure = createStanding({ stream: 'writes', slots, topology, shards, logEnds: async () => new Map(), metrics: createProcessorMetrics({ stream: 'writes', log, registry }), log });
  const searching = async (): Promise<unknown> => {
    await measure();
    const { values = [] } = (await registry.getMetricsAsJSON()).find(({ name }) => name === 'millrace_slots_searching') ?? {};
    return Object.fromEntries(values.map(({ labels, value }) => [labels['shard'], value]));
  };
  return { slots, searching, check: () => checkAddresses(slots, topology) };
}

describe('slots of a shard without an address', () => {
  test('are counted as searching under the shard that the topology names, and fail the readiness by name', async () => {
    const at = standing();
    expect(await at.searching()).toEqual({ a: 0, b: 2 });
    expect(at.check()).toMatchObject({ ok: false, detail: 'not in the shards file: shard b (slots 1, 2)' });
  });
});

test('a shard without slots of this process has nothing told of it any more', async () => {
  const at = standing();
  await at.searching();
  for (const state of at.slots.values()) state.lane = laneAt(a);
  expect(await at.searching()).toEqual({ a: 2 });
  at.slots.clear();
  expect([await at.searching(), at.check().ok]).toEqual([{}, true]);
});
