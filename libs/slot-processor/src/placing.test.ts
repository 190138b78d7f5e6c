import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { must, type ShardId, type Slot } from '@millrace/write';
import { KEPT_RECORDS_MAX } from './limits.ts';
import { movingWorld, SHARDS } from './testing/moving-world.ts';

type World = ReturnType<typeof movingWorld>;

const SLOTS = 3;
const [a, b] = ['a', 'b'] as [ShardId, ShardId];
const first = 0 as Slot;

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

const slot = fc.nat(SLOTS - 1).map((id) => id as Slot);
const shard = fc.constantFrom(...SHARDS);
const count = fc.integer({ min: 1, max: 9 });
type Step = readonly [keyof typeof steps, number, Slot, ShardId];
const steps = {
  append: (world: World, n: number, of: Slot) => world.append(of, n),
  deliver: (world: World, n: number, of: Slot) => world.deliver(of, n),
  turn: (world: World, _n: number, _of: Slot, at: ShardId) => world.turn(at),
  look: (world: World) => world.look(),
  fence: (world: World, _n: number, of: Slot, to: ShardId) => world.fence(of, to),
  activate: (world: World, _n: number, of: Slot) => world.activate(of),
  hold: (world: World, n: number, of: Slot) => world.hold(of, n % 2 === 0),
  down: (world: World, _n: number, _of: Slot, at: ShardId) => world.setDown(at, true),
  up: (world: World, _n: number, _of: Slot, at: ShardId) => world.setDown(at, false),
  publish: (world: World) => world.publish(),
  tick: (world: World) => world.tick(),
  another: (world: World, n: number, of: Slot) => world.another(of, n),
  assign: (world: World, n: number) => world.assign(BigInt(n)),
} as const;
const often = (name: keyof typeof steps, weight: number) => ({ weight, arbitrary: fc.constant(name) });
const step: fc.Arbitrary<Step> = fc.tuple(
  fc.oneof(often('append', 5), often('deliver', 8), often('turn', 16), often('look', 4), often('fence', 3), often('activate', 4), often('hold', 1), often('down', 1), often('up', 2), often('publish', 1), often('tick', 1), often('another', 1), often('assign', 1)),
  count,
  slot,
  shard,
);

const settleTimers = (): Promise<void> => jest.advanceTimersByTimeAsync(300);

/** Whatever was under way ends: every slot has its shard, every shard answers. */
async function settle(world: World): Promise<void> {
  for (const each of SHARDS) world.setDown(each, false);
  for (const each of world.all) {
    world.activate(each);
    world.hold(each, false);
  }
  for (let round = 0; round < 60; round++) {
    for (const each of world.all) world.deliver(each, 1_000);
    for (const each of SHARDS) world.wholeTurn(each);
    world.look();
    await settleTimers();
  }
}

function expectAllApplied(world: World): void {
  expect(world.fatal).toEqual([]);
  for (const each of world.all) {
    expect(must(world.applied.get(each), 'a slot').map(Number)).toEqual(Array.from({ length: Number(world.logEnd(each)) }, (_, at) => at));
    expect(world.kept.from(each)).toBeUndefined();
    expect(world.slots.get(each)).toMatchObject({ phase: 'placed', lane: { shard: world.holder(each) } });
  }
}

describe('slots that move while they are followed', () => {
  test('W1 W2 are applied once, in order, and none is left behind, whatever happens in whatever order', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 120 }), async (run) => {
        const world = movingWorld(SLOTS);
        world.assign(0n);
        for (const [name, n, of, at] of run) {
          steps[name](world, n, of, at);
          await jest.advanceTimersByTimeAsync(5);
        }
        for (const each of world.all) world.append(each, 3);
        await settle(world);
        expectAllApplied(world);
      }),
      { numRuns: 500 },
    );
  }, 120_000);

  /** A slot with records applied at `a`, some in its lane and some to come. */
  async function running(): Promise<World> {
    const world = movingWorld(1);
    world.assign(0n);
    world.wholeTurn(a);
    await settleTimers();
    world.append(first, 10);
    world.deliver(first, 4);
    world.wholeTurn(a);
    world.deliver(first, 2);
    return world;
  }

  test('go on with the records that the old lane gave back and with those fetched meanwhile, without a seek', async () => {
    const world = await running();
    const seeks = world.seeks();
    world.fence(first, b);
    world.wholeTurn(a);
    world.deliver(first, 2);
    world.activate(first);
    world.look();
    await settleTimers();
    world.wholeTurn(b);
    expect(must(world.applied.get(first), 'a slot')).toHaveLength(8);
    world.deliver(first, 2);
    world.wholeTurn(b);
    expect(must(world.applied.get(first), 'a slot')).toHaveLength(10);
    expect(world.seeks()).toBe(seeks);
  });

  test('are paused when no more of them can be kept, and read again from there', async () => {
    const world = await running();
    world.fence(first, b);
    world.wholeTurn(a);
    world.append(first, 3 * KEPT_RECORDS_MAX);
    for (let i = 0; i < 40; i++) world.deliver(first, KEPT_RECORDS_MAX / 10);
    expect(world.slots.get(first)).toMatchObject({ phase: 'searching', skipped: true });
    const kept = Number(must(world.slots.get(first)?.expected, 'what was kept')) - Number(must(world.kept.from(first), 'something is kept'));
    expect(kept).toBeLessThanOrEqual(KEPT_RECORDS_MAX);
    expect(kept).toBeGreaterThan(KEPT_RECORDS_MAX * 0.8);
    world.activate(first);
    world.append(first, 1);
    for (let round = 0; round < 100; round++) {
      world.look();
      await settleTimers();
      world.deliver(first, 10_000);
      world.wholeTurn(b);
    }
    expectAllApplied(world);
    expect(world.gaps()).toBe(0);
  });

  test('rest while their shard has no address, and go on once it has one', async () => {
    const world = movingWorld(1);
    world.unknown.add(a);
    world.assign(0n);
    world.append(first, 5);
    expect([world.slots.get(first)?.phase, world.paused(first)]).toEqual(['searching', true]);
    world.unknown.delete(a);
    world.look();
    await settleTimers();
    world.wholeTurn(a);
    await settleTimers();
    world.deliver(first, 5);
    world.wholeTurn(a);
    expectAllApplied(world);
  });

  test('leave a shard that is down for the one that the topology names', async () => {
    const world = await running();
    world.setDown(a, true);
    world.fence(first, b);
    world.activate(first);
    world.publish();
    world.wholeTurn(b);
    await settleTimers();
    world.deliver(first, 10);
    world.wholeTurn(b);
    expect(must(world.applied.get(first), 'a slot')).toHaveLength(10);
  });

  test('that are idle are at their new shard as soon as the topology tells', async () => {
    const world = movingWorld(1);
    world.assign(0n);
    world.wholeTurn(a);
    await settleTimers();
    world.fence(first, b);
    world.activate(first);
    world.publish();
    world.wholeTurn(a);
    await settleTimers();
    world.look();
    await settleTimers();
    world.wholeTurn(b);
    expect(world.slots.get(first)).toMatchObject({ phase: 'placed', lane: { shard: b } });
  });
});
