/** How long the ring thinks: plans for 1,024 slots and 64 shards. */
import { createTopology, plan as makePlan, spread, type Member, type MemberState, type Topology } from '@millrace/ring';
import type { Epoch, ShardId } from '@millrace/write';
import type { Bench, Report } from '../harness/bench.ts';
import { findAtMost } from '../harness/findings.ts';
import { interleave, summaryOf, type Side } from '../harness/rounds.ts';
import { median } from '../harness/stats.ts';

const SLOTS = 1024;
const SHARDS = 64;
const REPEATS = 15;
const MILLISECONDS_MAX = 50;

interface Task {
  readonly name: string;
  readonly topology: Topology;
  readonly members: readonly Member[];
  readonly loads?: readonly number[];
}

export async function plan({ options }: Bench): Promise<Report> {
  const sides = tasks().map(sideOf);
  const results = await interleave(sides, options.rounds);
  return {
    name: 'plan',
    title: 'Plans of the ring',
    method: `${SLOTS} slots, ${SHARDS} shards; the median and the longest of ${REPEATS} plans a round, in the process of the benchmark, which does nothing else then. Unequal loads are log-logistic: the heaviest slot has 47 times the mean.`,
    columns: [
      { metric: 'planMs', title: 'ms' },
      { metric: 'longestMs', title: 'longest ms' },
      { metric: 'moves', title: 'moves' },
      { metric: 'balance', title: 'max/mean' },
      { metric: 'bound', title: 'at best' },
    ],
    results,
    findings: sides.map(({ name }) => findAtMost({ what: name, value: summaryOf(results, name, 'planMs')?.median ?? Number.NaN, unit: 'ms', atMost: MILLISECONDS_MAX })),
  };
}

function tasks(): readonly Task[] {
  const full = spreadOver(SHARDS);
  const loads = unequalLoads();
  return [
    { name: 'one joins', topology: spreadOver(SHARDS - 1), members: members((index) => (index === SHARDS - 1 ? 'joining' : 'active')) },
    { name: 'one leaves', topology: full, members: members((index) => (index === 7 ? 'draining' : 'active')) },
    { name: 'one joins, unequal loads', topology: spreadOver(SHARDS - 1), members: members((index) => (index === SHARDS - 1 ? 'joining' : 'active')), loads },
    { name: 'evening out, unequal loads', topology: full, members: members(() => 'active'), loads },
    { name: 'from 1 to 64', topology: spreadOver(1), members: members((index) => (index === 0 ? 'active' : 'joining')) },
  ];
}

function sideOf({ name, topology, members: named, loads }: Task): Side {
  return {
    name,
    measure: async () => {
      const times: number[] = [];
      for (let i = 0; i < REPEATS; i++) {
        const startedAt = performance.now();
        makePlan(topology, named, loads);
        times.push(performance.now() - startedAt);
      }
      const { moves, balance, bound } = makePlan(topology, named, loads);
      return { planMs: median(times), longestMs: Math.max(...times), moves: moves.length, balance, bound };
    },
  };
}

function shardIds(count: number): readonly ShardId[] {
  return Array.from({ length: count }, (_, index) => `shard-${index + 1}` as ShardId);
}

function members(stateOf: (index: number) => MemberState): readonly Member[] {
  return shardIds(SHARDS).map((shard, index) => ({ shard, weight: 1, state: stateOf(index) }));
}

function spreadOver(shards: number): Topology {
  return createTopology({ epoch: 1 as Epoch, owners: spread(SLOTS, shardIds(shards)) });
}

/** The same in every run: the quantiles of a log-logistic distribution of shape 1.7, in an order far from sorted. */
function unequalLoads(): readonly number[] {
  return Array.from({ length: SLOTS }, (_, slot) => {
    const quantile = (((slot * 389) % SLOTS) + 0.5) / SLOTS;
    return Math.exp(Math.log(quantile / (1 - quantile)) / 1.7);
  });
}
