import { describe, expect, test } from '@jest/globals';
import type { Database } from '@millrace/postgres';
import type { ShardId, Slot } from '@millrace/write';
import { createRests, type Applied } from './rest.ts';

const A = 'a' as ShardId;
const B = 'b' as ShardId;
const PIECE = { workedMs: 40, idleMs: 2_000 };

/** A mover whose source has applied so much at each look, in turn; the target is idle. */
function moving(looks: readonly Applied[]) {
  const rested: number[] = [];
  const seen = new Map<ShardId, bigint[]>();
  let i = 0;
  const answering = (answer: () => Applied): Database => ({ query: async () => [answer()] }) as unknown as Database;
  const rests = createRests({
    order: { id: 1n, slot: 3 as Slot, source: A, target: B },
    pace: {
      observe: (shard, { applied }) => void seen.set(shard, [...(seen.get(shard) ?? []), applied]),
      pieceMs: () => 30,
      rest: async (workedMs) => void rested.push(workedMs),
      take: async () => undefined,
      bytesPerSecond: () => 0,
    },
    signal: new AbortController().signal,
  }, [
    { shard: A, database: answering(() => looks[Math.min(i++, looks.length - 1)]!) },
    { shard: B, database: answering(() => ({ all: 7n, own: 0n })) },
  ]);
  return { rests, rested, seen };
}

describe('behind a piece of work a mover', () => {
  test('looks at both shards, and rests for what it has worked', async () => {
    const { rests, rested, seen } = moving([{ all: 100n, own: 10n }]);
    expect(await rests.after(PIECE)).toBe(30);
    expect(rested).toEqual([40]);
    expect(seen).toEqual(new Map([[A, [100n]], [B, [7n]]]));
  });

  test('rests as long as others have the larger share of what the source applies', async () => {
    const { rests, rested } = moving([{ all: 100n, own: 90n }, { all: 200n, own: 140n }]);
    await rests.after(PIECE);
    expect(await rests.after(PIECE)).toBe(30);
    expect(rested).toEqual([40, 40]);
  });

  test('does not rest where most of it is of its slot, which would run further ahead', async () => {
    const { rests, rested } = moving([{ all: 100n, own: 10n }, { all: 200n, own: 61n }]);
    await rests.after(PIECE);
    expect(await rests.after(PIECE)).toBe(PIECE.idleMs);
    expect(rested).toEqual([40]);
  });

  test('does not rest between two turns of such a slot', async () => {
    const { rests, rested } = moving([{ all: 100n, own: 10n }, { all: 200n, own: 100n }, { all: 200n, own: 100n }]);
    for (let i = 0; i < 3; i++) await rests.after(PIECE);
    expect(rested).toEqual([40]);
  });

  test('rests again once its slot has become quiet, also while nothing is applied', async () => {
    const { rests, rested } = moving([{ all: 100n, own: 10n }, { all: 200n, own: 100n }, { all: 300n, own: 110n }, { all: 300n, own: 110n }]);
    for (let i = 0; i < 4; i++) await rests.after(PIECE);
    expect(rested).toEqual([40, 40, 40]);
  });
});
