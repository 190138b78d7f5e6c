/**
 * The topology: an immutable, numbered table slot -> shard.
 *
 * R1 every slot has exactly one owner: the table is total by construction. R2 epochs rise by one.
 */
import { assert, must, type Epoch, type ShardId, type Slot } from '@millrace/write';

export interface Topology {
  readonly epoch: Epoch;
  /** S, the number of slots; fixed for the life of a cluster. */
  readonly slots: number;
  /** The owner of slot `i` stands at index `i`. */
  readonly owners: readonly ShardId[];
}

/** @throws AssertionFailed where the table does not give every slot an owner (R1). */
export function createTopology({ epoch, owners }: { epoch: Epoch; owners: readonly ShardId[] }): Topology {
  assert(owners.length > 0 && owners.every((owner) => owner.length > 0), 'R1: every slot has exactly one owner');
  return Object.freeze({ epoch, slots: owners.length, owners: Object.freeze([...owners]) });
}

/** The shard that owns a slot. @throws AssertionFailed for a slot outside the topology. */
export function ownerOf(topology: Topology, slot: Slot): ShardId {
  return must(topology.owners[slot], `R1: slot ${slot} is outside the topology of ${topology.slots} slots`);
}

/** The slots that a shard owns, ascending. */
export function slotsOf(topology: Topology, shard: ShardId): readonly Slot[] {
  return topology.owners.flatMap((owner, slot) => (owner === shard ? [slot as Slot] : []));
}
