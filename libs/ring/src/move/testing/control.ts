/** The control database: who leads, who owns the slot, and the moves. Each function is one transaction. */
import { CHANGED, SUPERSEDED, type Actor } from './actor.ts';
import type { Shard } from './shard.ts';
import type { World } from './world.ts';

export interface Move {
  readonly id: bigint;
  readonly source: Shard;
  readonly target: Shard;
  state: 'running' | 'aborting' | 'done' | 'aborted';
}

export interface Control {
  holder: string;
  leader: Actor | undefined;
  token: number;
  /** R2: of the topology. */
  epoch: number;
  owner: Shard;
  readonly moves: Move[];
}

export function createControl(owner: Shard): Control {
  return { holder: '', leader: undefined, token: 0, epoch: 1, owner, moves: [] };
}

export function openMove({ moves }: Control): Move | undefined {
  const newest = moves.at(-1);
  return newest && isOpen(newest) ? newest : undefined;
}

export function isOpen({ state }: Move): boolean {
  return state === 'running' || state === 'aborting';
}

/** By the operator. R3: refused while a move of the slot is open. */
export function orderMove({ control, shards, random, rules, happens }: World): void {
  if (openMove(control) && rules.oneOpenMove) return;
  const before = control.moves.at(-1)?.source;
  const others = shards.filter((shard) => shard !== control.owner);
  const target = before !== undefined && others.includes(before) && random.oneIn(2) ? before : random.pick(others);
  happens(target === before ? 'a slot is ordered back' : 'a slot is ordered away');
  control.moves.push({ id: BigInt(control.moves.length + 1), source: control.owner, target, state: 'running' });
}

/** By the operator. */
export function orderAbort(control: Control): void {
  const move = openMove(control);
  if (move) move.state = 'aborting';
}

/** The lease has run out, whatever its holder thinks. */
export function takeLease({ control, rules }: World, { leader, holder }: { leader: Actor; holder: string }): number {
  if (rules.leaseRaisesToken || control.holder !== holder) control.token += 1;
  control.holder = holder;
  control.leader = leader;
  return control.token;
}

/** Every write of a leader finds its token in the lease. @throws SUPERSEDED */
export function underLease({ control }: World, token: number): void {
  if (control.token !== token) throw SUPERSEDED;
}

/** R2: by compare-and-set. @throws CHANGED where the topology is not at the epoch that was read, SUPERSEDED */
export function publish(world: World, { epoch, owner, token }: { epoch: number; owner: Shard; token: number }): void {
  const { control, rules } = world;
  if (rules.publishUnderLease) {
    underLease(world, token);
    if (control.epoch !== epoch) throw CHANGED;
  }
  control.epoch = epoch + 1;
  control.owner = owner;
  world.published(epoch + 1);
}
