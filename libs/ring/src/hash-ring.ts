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
  /** How far a slot walks clockwise until it meets the shard at `index`. */
  readonly distance: (slot: number, index: number) => number;
}

/** `distance` of the result knows the shards by their index here. */
export function createHashRing(slots: number, shards: readonly { readonly shard: ShardId; readonly weight: number }[]): HashRing {
  const meanWeight = shards.reduce((sum, { weight }) => sum + weight, 0) / shards.length;
  const points = shards.map(({ shard, weight }) => pointsOf(`shard/${shard}`, Math.max(1, Math.round((VIRTUAL_NODES * weight) / meanWeight))));
  const slotPoints = Array.from({ length: slots }, (_, slot) => must(pointsOf(`slot/${slot}`, 1)[0], 'a slot has a point'));
  const known = new Float64Array(slots * shards.length).fill(Number.NaN);
  return {
    distance: (slot, index) => {
      const at = slot * shards.length + index;
      if (Number.isNaN(known[at])) known[at] = clockwise(must(slotPoints[slot], 'the ring has the slot'), must(points[index], 'the ring has the shard'));
      return known[at] ?? 0;
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

/** From a point to the next of `points`, which ascend; over the top to the first of them. */
function clockwise(from: number, points: Float64Array): number {
  let [low, high] = [0, points.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((points[middle] ?? 0) < from) low = middle + 1;
    else high = middle;
  }
  const next = points[low];
  return next === undefined ? (points[0] ?? 0) + CIRCUMFERENCE - from : next - from;
}
