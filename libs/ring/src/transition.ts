/** From one topology to the next: slots change their owners, and the epoch rises by one (R2). */
import { assert, type Epoch, type ShardId, type Slot } from '@millrace/write';
import { createTopology, ownerOf, type Topology } from './topology.ts';

export interface SlotMove {
  readonly slot: Slot;
  readonly source: ShardId;
  readonly target: ShardId;
}

/**
 * The topology after a set of moves: one epoch for all of them, none where there are none.
 * @throws AssertionFailed where a slot moves twice, or from a shard that does not own it (R1).
 */
export function applyMoves(topology: Topology, moves: readonly SlotMove[]): Topology {
  if (moves.length === 0) return topology;
  assert(new Set(moves.map(({ slot }) => slot)).size === moves.length, 'R3: a slot moves once at a time');
  const owners = [...topology.owners];
  for (const { slot, source, target } of moves) {
    assert(ownerOf(topology, slot) === source, `R1: slot ${slot} moves from ${source}, but ${ownerOf(topology, slot)} owns it`);
    assert(target !== source, `slot ${slot} moves from ${source} to itself`);
    owners[slot] = target;
  }
  return createTopology({ epoch: (topology.epoch + 1) as Epoch, owners });
}

/** The topology after one move. @throws AssertionFailed as `applyMoves`. */
export function moveSlot(topology: Topology, move: SlotMove): Topology {
  return applyMoves(topology, [move]);
}
