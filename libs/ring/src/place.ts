/**
 * Placement: which shard should own which slot.
 *
 * Consistent hashing with virtual nodes (Karger et al., STOC 1997) gives each slot its order of preferred shards:
 * clockwise from the slot's point on the ring. Bounded load (Mirrokni, Thorup, Zadimoghaddam, SODA 2018) with the
 * tightest bound, the fair share, sends a slot past shards that are full. So the spread is even to one slot and
 * still depends on names alone.
 */
import { hash } from 'node:crypto';
import { assert, AssertionFailed, must, type ShardId } from '@millrace/write';

const VIRTUAL_NODES = 128;

interface RingPoint {
  readonly at: number;
  readonly shard: ShardId;
}

/** Owners by slot, for a cluster that has none yet. Deterministic in the set of shards; their order is irrelevant. */
export function spread(slots: number, shards: readonly ShardId[]): readonly ShardId[] {
  assert(shards.length > 0, 'R1: a topology needs at least one shard');
  assert(new Set(shards).size === shards.length, 'R1: a shard is named once');
  const ring = ringOf(shards);
  const room = fairShares(slots, shards);
  return Array.from({ length: slots }, (_, slot) => {
    const owner = firstWithRoom(ring, pointOf(`slot/${slot}`), room);
    room.set(owner, must(room.get(owner), 'a shard on the ring has a share') - 1);
    return owner;
  });
}

function ringOf(shards: readonly ShardId[]): readonly RingPoint[] {
  return shards
    .flatMap((shard) => Array.from({ length: VIRTUAL_NODES }, (_, i) => ({ at: pointOf(`shard/${shard}/${i}`), shard })))
    .sort((a, b) => a.at - b.at || (a.shard < b.shard ? -1 : 1));
}

/** Whole slots cannot always be shared evenly: the first shards by name take one of the rest each. */
function fairShares(slots: number, shards: readonly ShardId[]): Map<ShardId, number> {
  const base = Math.floor(slots / shards.length);
  const rest = slots % shards.length;
  return new Map([...shards].sort().map((shard, index) => [shard, base + (index < rest ? 1 : 0)]));
}

function firstWithRoom(ring: readonly RingPoint[], at: number, room: ReadonlyMap<ShardId, number>): ShardId {
  const start = ring.findIndex((point) => point.at >= at);
  for (let step = 0; step < ring.length; step++) {
    const point = must(ring[(Math.max(start, 0) + step) % ring.length], 'the ring has points');
    if ((room.get(point.shard) ?? 0) > 0) return point.shard;
  }
  throw new AssertionFailed('R1: the shares add up to the slots');
}

/** A point on the ring: the first 48 bits of SHA-256, exact in a double. */
function pointOf(name: string): number {
  return parseInt(hash('sha256', name, 'hex').slice(0, 12), 16);
}
