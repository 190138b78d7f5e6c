/**
 * key -> slot: `murmur2(key) mod S`, Kafka's default partitioner for keyed records.
 *
 * MurmurHash2 by Austin Appleby, with the seed and the sign mask of `org.apache.kafka.common.utils.Utils.murmur2`
 * and `toPositive`, so that a producer in any language that keeps its default reaches the same slot.
 */
import type { Slot } from '@millrace/write';

const SEED = 0x9747b28c;
const M = 0x5bd1e995;
const R = 24;

/** MurmurHash2 as a signed 32-bit integer. */
export function murmur2(bytes: Buffer): number {
  const length = bytes.length;
  const tail = length & ~3;
  let h = SEED ^ length;
  for (let i = 0; i < tail; i += 4) {
    const k = Math.imul(bytes.readInt32LE(i), M);
    h = Math.imul(h, M) ^ Math.imul(k ^ (k >>> R), M);
  }
  if (tail < length) h = Math.imul(h ^ bytes.readUIntLE(tail, length - tail), M);
  h = Math.imul(h ^ (h >>> 13), M);
  return (h ^ (h >>> 15)) | 0;
}

/** The slot of a routing key; `slots` is S, 1 to 4,096, fixed for the life of a cluster. */
export function slotOf(key: string | Buffer, slots: number): Slot {
  const bytes = typeof key === 'string' ? Buffer.from(key) : key;
  return ((murmur2(bytes) & 0x7fffffff) % slots) as Slot;
}
