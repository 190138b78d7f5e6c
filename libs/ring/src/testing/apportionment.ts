/** What the best placement of equal slots is, found by looking at every one: the model that plans are held against. */
import { must } from '@millrace/write';

/** Every way to share `slots` among shards. */
export function* countsOf(slots: number, shards: number): Iterable<readonly number[]> {
  if (shards === 1) {
    yield [slots];
    return;
  }
  for (let first = 0; first <= slots; first++) for (const rest of countsOf(slots - first, shards - 1)) yield [first, ...rest];
}

/** No slot would do better elsewhere. */
export function isFair(counts: readonly number[], weights: readonly number[]): boolean {
  const level = (shard: number, more = 0): number => (must(counts[shard], 'a count') + more) / must(weights[shard], 'a weight');
  return counts.every((_, from) => counts.every((__, to) => from === to || level(from) <= level(to, 1) * (1 + 1e-9)));
}

export function levelOfCounts(counts: readonly number[], weights: readonly number[]): number {
  return Math.max(...counts.map((count, shard) => count / must(weights[shard], 'a weight')));
}

/** The fewest slots that must change their owner so that the counts become fair. `owned` by shard; others own `homeless`. */
export function fewestMoves({ owned, homeless, weights }: { owned: readonly number[]; homeless: number; weights: readonly number[] }): number {
  const slots = owned.reduce((sum, count) => sum + count, homeless);
  const costs = [...countsOf(slots, weights.length)].filter((counts) => isFair(counts, weights)).map((counts) => owned.reduce((sum, count, shard) => sum + Math.max(0, count - must(counts[shard], 'a count')), homeless));
  return Math.min(...costs);
}
