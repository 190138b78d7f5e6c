/** Arbitrary members, topologies, loads and commands, for property tests. */
import type { Epoch, ShardId } from '@millrace/write';
import fc from 'fast-check';
import type { Member } from '../member.ts';
import { createTopology, type Topology } from '../topology.ts';
import type { Cluster, Command } from './cluster.ts';

export interface Situation {
  readonly topology: Topology;
  readonly members: readonly Member[];
  readonly loads?: readonly number[];
}

const WEIGHTS = [0.5, 1, 1, 1, 2, 3];
const shardName = (index: number): ShardId => `s${index}` as ShardId;

/** Idle slots, light and heavy ones, now and then a giant. */
export const load = fc.oneof({ arbitrary: fc.constant(0), weight: 1 }, { arbitrary: fc.integer({ min: 1, max: 9 }), weight: 4 }, { arbitrary: fc.double({ min: 0.5, max: 100, noNaN: true }), weight: 2 }, { arbitrary: fc.constant(1000), weight: 1 });

/** Any state of things, also such as no plan leads to: members in every state, owners that are no members. One at least may own slots. */
export function situation({ slotsMax, shardsMax, equalLoads }: { slotsMax: number; shardsMax: number; equalLoads: boolean }): fc.Arbitrary<Situation> {
  const state = fc.constantFrom<Member['state']>('active', 'active', 'joining', 'draining', 'gone');
  const members = fc
    .array(fc.record({ weight: fc.constantFrom(...WEIGHTS), state }), { minLength: 1, maxLength: shardsMax })
    .map((list) => list.map((member, index) => ({ ...member, shard: shardName(index) })))
    .filter((list) => list.some((member) => member.state === 'active' || member.state === 'joining'));
  return fc.integer({ min: 1, max: slotsMax }).chain((slots) =>
    fc.record({
      topology: fc.array(fc.nat({ max: shardsMax }), { minLength: slots, maxLength: slots }).map((owners) => createTopology({ epoch: 7 as Epoch, owners: owners.map(shardName) })),
      members,
      loads: equalLoads ? fc.constantFrom(undefined, Array.from({ length: slots }, () => 0.3)) : fc.array(load, { minLength: slots, maxLength: slots }),
    }),
  );
}

/** What an operator might ask for next, whatever there is by then. */
export interface Wish {
  readonly kind: 'join' | 'leave' | 'replace' | 'weight';
  readonly who: number;
  readonly weight: number;
}

export function wishes({ weights = WEIGHTS }: { weights?: readonly number[] } = {}): fc.Arbitrary<readonly Wish[]> {
  return fc.array(fc.record({ kind: fc.constantFrom<Wish['kind']>('join', 'join', 'leave', 'replace', 'weight'), who: fc.nat(), weight: fc.constantFrom(...weights) }), { minLength: 1, maxLength: 8 });
}

/** The wish as commands; none where it would leave the cluster without a shard. */
export function commandsFor({ members }: Cluster, { kind, who, weight }: Wish, step: number): readonly Command[] {
  const shard = members[who % members.length]?.shard ?? '';
  const join: Command = { kind: 'join', shard: `j${step}`, weight };
  if (kind === 'weight') return [{ kind, shard, weight }];
  if (kind === 'join') return [join];
  if (kind === 'replace') return [join, { kind: 'leave', shard }];
  return members.length > 1 ? [{ kind, shard }] : [];
}
