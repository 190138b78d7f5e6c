import { describe, expect, test } from '@jest/globals';
import type { Epoch, ShardId, Slot } from '@millrace/write';
import fc from 'fast-check';
import { LastShard, type Member } from './member.ts';
import { outlook, plan, type PlacementPlan } from './plan.ts';
import { countsOf, fewestMoves, levelOfCounts } from './testing/apportionment.ts';
import { carryOut, command, createCluster, type Cluster } from './testing/cluster.ts';
import { commandsFor, load, situation, wishes, type Wish } from './testing/situations.ts';
import { createTopology } from './topology.ts';
import { applyMoves, moveSlot } from './transition.ts';

const SMALL = { slotsMax: 8, shardsMax: 4 };
const LARGE = { slotsMax: 60, shardsMax: 9 };
const anything = fc.oneof(situation({ ...LARGE, equalLoads: true }), situation({ ...LARGE, equalLoads: false }));

const mayOwn = ({ state }: Member): boolean => state === 'active' || state === 'joining';
const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0);
const used = (loads: readonly number[] | undefined, slots: number): readonly number[] => (loads?.some((each) => each > 0) ? loads : Array.from({ length: slots }, () => 1));
const holders = ({ load: shards }: PlacementPlan) => shards.filter(({ share }) => share > 0);
const movedBy = ({ moves }: PlacementPlan, loads: readonly number[]): number => sum(moves.map(({ slot }) => loads[slot]!));
/** What no placement lets shards keep: all of those that leave, and what is above the best balance. */
const least = ({ load: shards, bound }: PlacementPlan): number => sum(shards.map(({ before, share }) => Math.max(0, before - share * bound)));

/** A new cluster that grants wishes, one plan each; `look` sees each of them. */
function history(slots: number, asked: readonly Wish[], loads: readonly number[] | undefined, look: (step: { wish: Wish; before: Cluster; plan: PlacementPlan }) => void): void {
  let cluster = createCluster(slots, ['a', 'b']);
  cluster = carryOut(cluster, plan(cluster.topology, cluster.members, loads).moves);
  for (const [step, wish] of asked.entries()) {
    const before = commandsFor(cluster, wish, step).reduce(command, cluster);
    const made = plan(before.topology, before.members, loads);
    cluster = carryOut(before, made.moves);
    look({ wish, before, plan: made });
  }
}

const strangers = ({ members }: Cluster, { moves }: PlacementPlan) => {
  const states = new Map(members.map(({ shard, state }) => [shard, state]));
  return moves.filter(({ source, target }) => states.get(source) !== 'draining' && states.get(target) !== 'joining');
};

/** Whoever leaves and owns nothing keeps the others from nothing. */
const leavesSlots = ({ topology, members }: Cluster): boolean =>
  members.some(({ shard, state }) => state === 'draining' && topology.owners.includes(shard));

describe('a plan', () => {
  test('R1 gives every slot exactly one owner, who may own it, and moves a slot at most once', () => {
    fc.assert(
      fc.property(anything, ({ topology, members, loads }) => {
        const { moves, load: shards } = plan(topology, members, loads);
        const { owners, epoch } = applyMoves(topology, moves);
        const able = new Set(members.filter(mayOwn).map(({ shard }) => shard));
        expect(owners.filter((owner) => !able.has(owner))).toEqual([]);
        expect(epoch).toBe(topology.epoch + (moves.length > 0 ? 1 : 0));
        const weights = used(loads, topology.slots);
        for (const { shard, before, after } of shards) {
          expect(before).toBeCloseTo(sum(weights.filter((_, slot) => topology.owners[slot] === shard)));
          expect(after).toBeCloseTo(sum(weights.filter((_, slot) => owners[slot] === shard)));
        }
      }),
    );
  });

  test('is the same in whatever order the members are named', () => {
    fc.assert(
      fc.property(anything.chain((given) => fc.tuple(fc.constant(given), fc.shuffledSubarray([...given.members], { minLength: given.members.length }))), ([{ topology, members, loads }, shuffled]) => {
        expect(plan(topology, shuffled, loads)).toEqual(plan(topology, members, loads));
      }),
    );
  });

  test('moves nothing where nobody joins or leaves and shards are even', () => {
    fc.assert(
      fc.property(anything, ({ topology, members, loads }) => {
        const settled = members.filter(mayOwn).map((member) => ({ ...member, state: 'active' as const }));
        const placed = applyMoves(topology, plan(topology, settled, loads).moves);
        const even = applyMoves(placed, plan(placed, settled, loads).moves);
        expect(plan(even, settled, loads).moves).toEqual([]);
      }),
    );
  });

  test('without a shard that may own slots is refused', () => {
    const { topology, members } = createCluster(4, ['a', 'b']);
    expect(() => plan(topology, members.map((member) => ({ ...member, state: 'draining' })))).toThrow(expect.objectContaining({ name: 'LastShard', code: 'last_shard', message: expect.stringContaining('a is draining, b is draining') }));
    expect(() => plan(topology, [])).toThrow(LastShard);
  });
});

describe('with equal loads a plan', () => {
  test('reaches the best balance that whole slots allow, and names it', () => {
    fc.assert(
      fc.property(situation({ ...SMALL, equalLoads: true }), ({ topology, members, loads }) => {
        const { balance, bound } = plan(topology, members, loads);
        const weights = members.filter(mayOwn).map(({ weight }) => weight);
        const best = Math.min(...[...countsOf(topology.slots, weights.length)].map((counts) => levelOfCounts(counts, weights))) / (topology.slots / sum(weights));
        expect(balance).toBeCloseTo(best, 9);
        expect(bound).toBeCloseTo(best, 9);
      }),
    );
  });

  test('moves the fewest slots, whatever the state before', () => {
    fc.assert(
      fc.property(situation({ ...SMALL, equalLoads: true }), ({ topology, members, loads }) => {
        const able = members.filter(mayOwn);
        const owned = able.map(({ shard }) => topology.owners.filter((owner) => owner === shard).length);
        const { moves } = plan(topology, members, loads);
        expect(moves).toHaveLength(fewestMoves({ owned, homeless: topology.slots - sum(owned), weights: able.map(({ weight }) => weight) }));
      }),
      { numRuns: 300 },
    );
  });

  test('moves to who joins, from who leaves, and to or from whose weight changes only', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 80 }), wishes(), (slots, asked) => {
        history(slots, asked, undefined, ({ wish, before, plan: made }) => {
          if (wish.kind !== 'weight') return expect(strangers(before, made)).toEqual([]);
          const changed = before.members[wish.who % before.members.length]!.shard;
          const [gains, losses] = [made.moves.filter(({ target }) => target === changed), made.moves.filter(({ source }) => source === changed)];
          expect(Math.min(gains.length, losses.length)).toBe(0);
          expect(gains.length + losses.length).toBe(made.moves.length);
        });
      }),
    );
  });

  test('leads to the same loads in whatever order the commands come, to one slot', () => {
    const commands = [
      { kind: 'join', shard: 'x', weight: 1 },
      { kind: 'join', shard: 'y', weight: 3 },
      { kind: 'leave', shard: 'a' },
      { kind: 'weight', shard: 'b', weight: 0.5 },
      { kind: 'weight', shard: 'c', weight: 2 },
    ] as const;
    const settle = (cluster: Cluster): Cluster => carryOut(cluster, plan(cluster.topology, cluster.members).moves);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.shuffledSubarray([...commands], { minLength: commands.length }), (slots, shuffled) => {
        const start = createCluster(slots, ['a', 'b', 'c', 'd']);
        const atOnce = settle(commands.reduce(command, start));
        const oneByOne = shuffled.reduce((cluster, each) => settle(command(cluster, each)), start);
        const [a, b] = [atOnce, oneByOne].map(({ topology }) => plan(topology, atOnce.members.map((member) => ({ ...member, state: 'active' }))));
        expect([a!.moves, b!.moves]).toEqual([[], []]);
        expect(b!.balance).toBeCloseTo(a!.balance, 9);
        for (const [index, { before }] of a!.load.entries()) expect(Math.abs(before - b!.load[index]!.before)).toBeLessThanOrEqual(1);
      }),
      { numRuns: 40 },
    );
  });

  test('keeps 1,024 slots within 1.02 of even, over up to ten shards', () => {
    fc.assert(
      fc.property(wishes({ weights: [1] }), (asked) => {
        history(1024, asked, undefined, ({ plan: made }) => expect(made.balance).toBeLessThanOrEqual(1.02));
      }),
      { numRuns: 5, endOnFailure: true },
    );
  });

  test('gives a shard that comes back most of what it had, as the ring does', () => {
    const start = createCluster(256, ['a', 'b', 'c', 'd']);
    const away = command(start, { kind: 'leave', shard: 'b' });
    const without = carryOut(away, plan(away.topology, away.members).moves);
    const back = command(without, { kind: 'join', shard: 'b' });
    const { owners } = carryOut(back, plan(back.topology, back.members).moves).topology;
    const kept = owners.filter((owner, slot) => owner === 'b' && start.topology.owners[slot] === 'b');
    expect(kept.length).toBeGreaterThan(64 / 2);
  });
});

describe('with unequal loads a plan', () => {
  const unequal = situation({ ...LARGE, equalLoads: false });

  test('is never better than the bound, nor further from even than whole slots explain', () => {
    fc.assert(
      fc.property(unequal, ({ topology, members, loads }) => {
        const made = plan(topology, members, loads);
        const weights = used(loads, topology.slots);
        expect(made.bound).toBeGreaterThanOrEqual(1 - 1e-9);
        expect(made.balance).toBeGreaterThanOrEqual(made.bound * (1 - 1e-9));
        expect(made.balance).toBeLessThanOrEqual((1 + ((holders(made).length - 1) * Math.max(...weights)) / sum(weights)) * (1 + 1e-9));
      }),
    );
  });

  test('names a bound that no placement betters', () => {
    fc.assert(
      fc.property(situation({ slotsMax: 6, shardsMax: 3, equalLoads: false }), ({ topology, members, loads }) => {
        const made = plan(topology, members, loads);
        const weights = used(loads, topology.slots);
        const shares = holders(made).map(({ share }) => share);
        const best = (slot: number, taken: readonly number[]): number => {
          if (slot === topology.slots) return Math.max(...taken.map((each, shard) => each / shares[shard]!));
          return Math.min(...shares.map((_, shard) => best(slot + 1, taken.map((each, other) => (other === shard ? each + weights[slot]! : each)))));
        };
        expect(made.bound).toBeLessThanOrEqual(best(0, shares.map(() => 0)) * (1 + 1e-9));
      }),
    );
  });

  test('moves at most 1.05 of what it must, and less than the heaviest slot a shard on top', () => {
    fc.assert(
      fc.property(unequal, ({ topology, members, loads }) => {
        const made = plan(topology, members, loads);
        const weights = used(loads, topology.slots);
        expect(movedBy(made, weights)).toBeLessThanOrEqual(1.05 * least(made) + holders(made).length * Math.max(...weights));
      }),
    );
  });

  test('moves to who joins and from who leaves only', () => {
    const loads = fc.integer({ min: 1, max: 60 }).chain((slots) => fc.array(load, { minLength: slots, maxLength: slots }));
    fc.assert(
      fc.property(loads, wishes({ weights: [1] }), (given, asked) => {
        history(given.length, asked, given, ({ wish, before, plan: made }) => {
          if (wish.kind !== 'weight') expect(strangers(before, made)).toEqual([]);
        });
      }),
    );
    fc.assert(
      fc.property(loads, wishes(), (given, asked) => {
        history(given.length, asked, given, ({ wish, before, plan: made }) => {
          if (wish.kind === 'leave' && leavesSlots(before)) expect(strangers(before, made)).toEqual([]);
        });
      }),
    );
  });

  test('keeps 1,024 slots of like size within 1.02 of even, moving at most 1.05 of what it must and a slot', () => {
    const loads = fc.array(fc.double({ min: 1, max: 10, noNaN: true }), { minLength: 1024, maxLength: 1024 });
    fc.assert(
      fc.property(loads, wishes(), (given, asked) => {
        history(1024, asked, given, ({ plan: made }) => {
          expect(made.balance).toBeLessThanOrEqual(1.02);
          expect(movedBy(made, given)).toBeLessThanOrEqual(1.05 * least(made) + Math.max(...given));
        });
      }),
      { numRuns: 5, endOnFailure: true },
    );
  });

  test('evens out by few heavy slots rather than many light ones', () => {
    const { topology, members } = createCluster(1024, ['a', 'b', 'c', 'd']);
    // The quantiles of a log-logistic distribution: the heaviest slot has 47 times the mean.
    const loads = topology.owners.map((_, slot) => ((slot * 389) % 1024) + 0.5).map((rank) => (rank / (1024 - rank)) ** (1 / 1.7));
    const made = plan(topology, members, loads);
    expect(made.balance).toBeLessThan(1.001);
    expect(made.moves.length).toBeLessThan(20);
  });

  test('moves a slot without load only where its shard leaves', () => {
    fc.assert(
      fc.property(unequal, ({ topology, members, loads }) => {
        const able = new Set<ShardId>(members.filter(mayOwn).map(({ shard }) => shard));
        const weights = used(loads, topology.slots);
        expect(plan(topology, members, loads).moves.filter(({ slot, source }) => weights[slot] === 0 && able.has(source))).toEqual([]);
      }),
    );
  });
});

describe('the next topology', () => {
  const { topology } = createCluster(4, ['a']);
  const move = { slot: 2 as never, source: 'a' as ShardId, target: 'b' as ShardId };

  test('R2 has the next epoch, one for all moves of a set', () => {
    expect(applyMoves(topology, [move, { ...move, slot: 0 as never }])).toEqual({ epoch: 2, slots: 4, owners: ['b', 'a', 'b', 'a'] });
    expect(moveSlot(topology, move).epoch).toBe(2);
    expect(applyMoves(topology, [])).toBe(topology);
  });

  test('R1 does not come of a move from a shard that does not own the slot, nor of two moves of one slot', () => {
    expect(() => moveSlot(topology, { ...move, source: 'c' as ShardId })).toThrow('R1');
    expect(() => applyMoves(topology, [move, move])).toThrow('R3');
    expect(() => moveSlot(topology, { ...move, slot: 4 as never })).toThrow('R1');
  });
});

describe('shards that neither give nor get', () => {
  const heavy = { topology: createTopology({ epoch: 1 as Epoch, owners: ['a', 'a', 'a', 'a', 'b', 'b', 'b', 'b'] as ShardId[] }), loads: [9, 9, 9, 1, 1, 1, 1, 9] };
  const settled: readonly Member[] = ['a', 'b'].map((shard) => ({ shard: shard as ShardId, weight: 1, state: 'active' }));
  const even = plan(heavy.topology, settled, heavy.loads);

  test.each([
    ['one that is emptied already', { weight: 1, state: 'draining' }],
    ['one that joins with a weight too small for a slot', { weight: 0.001, state: 'joining' }],
  ] as const)('%s does not keep the others from evening out', (_, idle) => {
    const carried = (made: PlacementPlan): readonly number[] => made.load.filter(({ shard }) => shard !== 'c').map(({ after }) => after);
    expect(carried(even)).toEqual([20, 20]);
    expect(carried(plan(heavy.topology, [...settled, { shard: 'c' as ShardId, ...idle }], heavy.loads))).toEqual([20, 20]);
  });
});

describe('the outlook of moves that are given', () => {
  const [a, b, c] = ['a', 'b', 'c'] as ShardId[] as [ShardId, ShardId, ShardId];
  const topology = createTopology({ epoch: 1 as Epoch, owners: [a, a, b, b] });
  const member = (shard: ShardId, weight = 1, state: Member['state'] = 'active'): Member => ({ shard, weight, state });

  test('tells the load before and after, how even it is by weight, and how even it could be', () => {
    const moves = [{ slot: 0 as Slot, source: a, target: c }];
    expect(outlook({ topology, members: [member(a), member(b, 2), member(c, 1, 'joining')], moves })).toMatchObject({
      load: [{ shard: a, weight: 1, before: 2, after: 1 }, { shard: b, weight: 2, before: 2, after: 2 }, { shard: c, weight: 1, before: 0, after: 1 }],
      balance: 1,
      bound: 1,
    });
    expect(outlook({ topology, members: [member(a), member(b), member(c)], moves: [] })).toMatchObject({ balance: 1.5, bound: 1.5 });
  });

  test('leaves a shard that is emptied out of the balance', () => {
    const moves = [2, 3].map((slot) => ({ slot: slot as Slot, source: b, target: a }));
    expect(outlook({ topology, members: [member(a), member(b, 1, 'draining')], moves }).balance).toBe(1);
  });
});
