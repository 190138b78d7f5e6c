/**
 * The ring: consistent hashing with virtual nodes (Karger et al., STOC 1997).
 *
 * Every shard stands on it at many points, in number by its weight (Dynamo, SOSP 2007), every slot at one. A slot
 * prefers the shard that it meets first on its way clockwise. As in ketama, one digest gives several points.
 */
import { hash } from 'node:crypto';
import { must, type ShardId } from '@millrace/write';

/** Points of a shard of mean weight. */
const VIRTUAL_NODES = 128;
/** A point is 48 bits of SHA-256: exact in a double, and five of them to a digest. */
const POINT_BYTES = 6;
const POINTS_PER_DIGEST = 5;
const CIRCUMFERENCE = 2 ** (8 * POINT_BYTES);

export interface HashRing {
  /** By slot: how far it walks clockwise until it meets the shard at `index`. */
  readonly waysTo: (index: number) => Float64Array;
}

/** The result knows the shards by their index here. */
export function createHashRing(slots: number, shards: readonly { readonly shard: ShardId; readonly weight: number }[]): HashRing {
  const meanWeight = shards.reduce((sum, { weight }) => sum + weight, 0) / shards.length;
  const starts = Array.from({ length: slots }, (_, slot) => ({ slot, at: pointsOf(`slot/${slot}`, 1)[0] ?? 0 })).sort((a, b) => a.at - b.at);
  const known = new Map<number, Float64Array>();
  return {
    waysTo: (index) => {
      const { shard, weight } = must(shards[index], 'the ring has the shard');
      const ways = known.get(index) ?? walk(starts, pointsOf(`shard/${shard}`, Math.max(1, Math.round((VIRTUAL_NODES * weight) / meanWeight))));
      known.set(index, ways);
      return ways;
    },
  };
}

/** The first `count` points of a name, ascending. */
function pointsOf(name: string, count: number): Float64Array {
  const points = new Float64Array(count);
  for (let i = 0; i < count; i += POINTS_PER_DIGEST) {
    const digest = hash('sha256', `${name}/${i / POINTS_PER_DIGEST}`, 'buffer');
    for (let j = 0; j < POINTS_PER_DIGEST && i + j < count; j++) points[i + j] = digest.readUIntBE(j * POINT_BYTES, POINT_BYTES);
  }
  return points.sort();
}

/** From each start to the next of the points, over the top to the first of them. Both ascend. */
function walk(starts: readonly { readonly slot: number; readonly at: number }[], points: Float64Array): Float64Array {
  const ways = new Float64Array(starts.length);
  const over = must(points[0], 'a shard has a point') + CIRCUMFERENCE;
  let next = 0;
  for (const { slot, at } of starts) {
    while ((points[next] ?? over) < at) next += 1;
    ways[slot] = (points[next] ?? over) - at;
  }
  return ways;
}
