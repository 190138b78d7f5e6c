import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { ShardId } from '@millrace/write';
import { BUSY_MS, BUSY_PIECE_MS, FIRST_LOOK_MS, PACE_MIN_BYTES_PER_SECOND, PACE_STEP_MS, REST_MS_MAX } from './limits.ts';
import { createPace } from './pace.ts';

const MB = 1024 * 1024;
const A = 'a' as ShardId;
const B = 'b' as ShardId;
const signal = new AbortController().signal;

function paced(bytesPerSecondMax: number) {
  let nowMs = 0;
  const pace = createPace({ bytesPerSecondMax, duty: 1 / 4, now: () => nowMs, wait: async (ms) => void (nowMs += ms) });
  return { pace, now: () => nowMs, pass: (ms: number) => void (nowMs += ms) };
}

function probe({ pace, pass }: ReturnType<typeof paced>, latencyMs: number, times = 1): void {
  for (let i = 0; i < times; i++) {
    pass(PACE_STEP_MS);
    pace.observe(A, { latencyMs, applied: 0n });
  }
}

describe('the throttle of moves', () => {
  test('lets no more through than its rate, however many move and however they are cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 8 * MB }), { minLength: 20, maxLength: 60 }), async (chunks) => {
        const { pace, now } = paced(4 * MB);
        for (const bytes of chunks) await pace.take(bytes, signal);
        const total = chunks.reduce((sum, bytes) => sum + bytes, 0);
        // A second may have been saved up by copying slowly before.
        expect(total / (4 * MB)).toBeLessThanOrEqual((now() + 1_001) / 1_000);
      }),
    );
  });

  test('does not wait where copying itself was slower than the rate', async () => {
    const { pace, now, pass } = paced(4 * MB);
    for (let i = 0; i < 10; i++) {
      pass(500);
      await pace.take(MB, signal);
    }
    expect(now()).toBe(5_000);
  });

  test('is halved where a shard answers more slowly than usual, and rises again in small steps', () => {
    const it = paced(64 * MB);
    probe(it, 2, 10);
    expect(it.pace.bytesPerSecond()).toBe(64 * MB);
    probe(it, 200);
    expect(it.pace.bytesPerSecond()).toBe(32 * MB);
    probe(it, 200);
    expect(it.pace.bytesPerSecond()).toBe(16 * MB);
    probe(it, 2, 2);
    expect(it.pace.bytesPerSecond()).toBeGreaterThan(16 * MB);
    expect(it.pace.bytesPerSecond()).toBeLessThan(32 * MB);
    probe(it, 2, 20);
    expect(it.pace.bytesPerSecond()).toBe(64 * MB);
  });

  test('never stops a move, and a jitter of milliseconds is no slowness', () => {
    const it = paced(64 * MB);
    probe(it, 0.1, 5);
    probe(it, 15, 3);
    expect(it.pace.bytesPerSecond()).toBe(64 * MB);
    probe(it, 5_000, 20);
    expect(it.pace.bytesPerSecond()).toBeGreaterThanOrEqual(PACE_MIN_BYTES_PER_SECOND);
  });

  test('rests three times as long as it worked while a shard applies writes, and not at all where none does', async () => {
    const { pace, now, pass } = paced(64 * MB);
    pace.observe(A, { latencyMs: 1, applied: 10n });
    pace.observe(B, { latencyMs: 1, applied: 10n });
    pass(FIRST_LOOK_MS);
    let atMs = now();
    const rested = async (shards: readonly ShardId[]): Promise<number> => {
      await pace.rest(100, shards, signal);
      const ms = now() - atMs;
      atMs = now();
      return ms;
    };
    expect(await rested([A, B])).toBe(0);
    pace.observe(B, { latencyMs: 1, applied: 11n });
    expect(await rested([A])).toBe(0);
    expect(await rested([A, B])).toBe(300);
    pass(BUSY_MS);
    atMs = now();
    expect(await rested([A, B])).toBe(0);
  });

  test('of a shard that applies writes, all moves together work a quarter of the time', async () => {
    const waits: number[] = [];
    const pace = createPace({ bytesPerSecondMax: 1, duty: 1 / 4, now: () => 0, wait: async (ms) => void waits.push(ms) });
    for (const shard of [A, B]) pace.observe(shard, { latencyMs: 1, applied: 10n });
    await pace.rest(100, [A], signal);
    await pace.rest(100, [A, B], signal);
    await pace.rest(100, [B], signal);
    await pace.rest(50, [A], signal);
    expect(waits).toEqual([300, 700, 700, 900]);
  });

  test('a rest has an end, however long a piece has waited and however many move', async () => {
    const waits: number[] = [];
    const pace = createPace({ bytesPerSecondMax: 1, duty: 1 / 100, now: () => 0, wait: async (ms) => void waits.push(ms) });
    pace.observe(A, { latencyMs: 1, applied: 10n });
    for (let i = 0; i < 3; i++) await pace.rest(15_000, [A], signal);
    expect(waits).toEqual([REST_MS_MAX, REST_MS_MAX, REST_MS_MAX]);
  });

  test('a shard that is looked at for the first time counts as one that applies writes, for a moment', async () => {
    const { pace, now, pass } = paced(64 * MB);
    pace.observe(A, { latencyMs: 1, applied: 10n });
    await pace.rest(10, [A], signal);
    expect(now()).toBe(30);
    pass(FIRST_LOOK_MS);
    await pace.rest(10, [A], signal);
    expect(now()).toBe(30 + FIRST_LOOK_MS);
  });

  test('asks for small pieces while a shard applies writes', () => {
    const { pace, pass } = paced(64 * MB);
    pace.observe(A, { latencyMs: 1, applied: 10n });
    expect(pace.pieceMs(400, [A])).toBe(BUSY_PIECE_MS);
    pass(FIRST_LOOK_MS);
    expect(pace.pieceMs(400, [A])).toBe(400);
    pace.observe(A, { latencyMs: 1, applied: 11n });
    expect(pace.pieceMs(400, [A, B])).toBe(BUSY_PIECE_MS);
    expect(pace.pieceMs(400, [B])).toBe(400);
    pass(BUSY_MS);
    expect(pace.pieceMs(400, [A])).toBe(400);
  });

  test('a wait ends with its signal', async () => {
    const stop = new AbortController();
    const pace = createPace({ bytesPerSecondMax: 1, duty: 1 / 4 });
    const waiting = pace.take(1_000_000, stop.signal);
    stop.abort(new Error('draining'));
    await expect(waiting).rejects.toThrow('draining');
  });
});
