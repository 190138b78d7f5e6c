import { describe, expect, test } from '@jest/globals';
import type { Database } from '@millrace/postgres';
import type { ShardId, Slot } from '@millrace/write';
import { BUSY_MS, OWN_LOOK_MS, OWN_RECORDS_MIN } from './limits.ts';
import { createRests, restBehind } from './rest.ts';

const A = 'a' as ShardId;
const B = 'b' as ShardId;
const PIECE = { workedMs: 40, idleMs: 2_000 };
const HOT = 10n * OWN_RECORDS_MIN;

/** A mover whose source applies so many records, of the slot and of others; its target has applied seven, long ago. */
function moving() {
  const rested: number[] = [];
  const seen = new Map<ShardId, bigint[]>();
  let applied = { all: 0n, own: 0n };
  let nowMs = 0;
  const answering = (answer: () => typeof applied): Database => ({ query: async () => [answer()] }) as unknown as Database;
  const places = [
    { shard: A, database: answering(() => applied) },
    { shard: B, database: answering(() => ({ all: 7n, own: 0n })) },
  ];
  const mover = {
    order: { id: 1n, slot: 3 as Slot, source: A, target: B },
    pace: {
      observe: (shard: ShardId, { applied: all }: { readonly applied: bigint }) => void seen.set(shard, [...(seen.get(shard) ?? []), all]),
      pieceMs: () => 30,
      rest: async (workedMs: number) => void rested.push(workedMs),
      take: async () => undefined,
      bytesPerSecond: () => 0,
    },
    signal: new AbortController().signal,
  };
  const rests = createRests(mover, places, () => nowMs);
  /** What the source has applied after a while, and then a piece; whether the mover has rested behind it. */
  async function pass(ms: number, { own, others }: { readonly own: bigint; readonly others: bigint }): Promise<boolean> {
    nowMs += ms;
    applied = { all: applied.all + own + others, own: applied.own + own };
    const before = rested.length;
    const wantedMs = await rests.after(PIECE);
    const hasRested = rested.length > before;
    expect(wantedMs).toBe(hasRested ? 30 : PIECE.idleMs);
    return hasRested;
  }
  return { mover, places, rested, seen, pass };
}

describe('behind a piece of a copy a mover', () => {
  test('looks at both shards, and rests for what it has worked', async () => {
    const { rested, seen, pass } = moving();
    expect(await pass(0, { own: 0n, others: 10n })).toBe(true);
    expect(rested).toEqual([40]);
    expect(seen).toEqual(new Map([[A, [10n]], [B, [7n]]]));
  });

  test('rests as long as others have the larger share of what the source applies', async () => {
    const { pass } = moving();
    for (let i = 0; i < 10; i++) expect(await pass(OWN_LOOK_MS, { own: HOT, others: HOT })).toBe(true);
  });

  test('does not rest where most of it is of its slot, which would run further ahead, also between two of its turns', async () => {
    const { pass } = moving();
    await pass(0, { own: 0n, others: HOT });
    expect(await pass(OWN_LOOK_MS, { own: HOT, others: HOT - 1n })).toBe(false);
    expect(await pass(10, { own: 0n, others: 0n })).toBe(false);
    expect(await pass(10, { own: 0n, others: HOT })).toBe(false);
  });

  test('is not misled by one look that sees a turn of its slot alone, nor by a few records', async () => {
    const { pass } = moving();
    await pass(0, { own: 0n, others: HOT });
    expect(await pass(10, { own: HOT, others: 0n })).toBe(true);
    expect(await pass(OWN_LOOK_MS, { own: 0n, others: HOT })).toBe(true);
    expect(await pass(OWN_LOOK_MS, { own: OWN_RECORDS_MIN - 1n, others: 0n })).toBe(true);
  });

  test('rests again once others have the larger share, or nothing was applied for a while', async () => {
    const { pass } = moving();
    await pass(0, { own: 0n, others: 0n });
    expect(await pass(OWN_LOOK_MS, { own: HOT, others: 0n })).toBe(false);
    expect(await pass(OWN_LOOK_MS, { own: HOT, others: 2n * HOT })).toBe(true);
    expect(await pass(OWN_LOOK_MS, { own: HOT, others: 0n })).toBe(false);
    expect(await pass(BUSY_MS - 1, { own: 0n, others: 0n })).toBe(false);
    expect(await pass(1, { own: 0n, others: 0n })).toBe(true);
  });
});

test('behind another piece it rests whoever writes', async () => {
  const { mover, places, rested, seen } = moving();
  expect(await restBehind(mover, places.slice(1), PIECE)).toBe(30);
  expect(rested).toEqual([40]);
  expect(seen).toEqual(new Map([[B, [7n]]]));
});
