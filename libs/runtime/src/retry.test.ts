import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import { backoffMs, retry, sleep } from './retry.ts';

const always = { baseMs: 10, maxMs: 1_000, retryable: () => true };

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

describe('backoff', () => {
  test('is anywhere between nothing and its cap, which doubles up to the maximum', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5_000 }), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (attempt, random) => {
        const delayMs = backoffMs(attempt, { baseMs: 10, maxMs: 1_000, random: () => random });
        expect(delayMs).toBeGreaterThanOrEqual(0);
        expect(delayMs).toBeLessThanOrEqual(Math.min(1_000, 10 * 2 ** (attempt - 1)));
      }),
    );
    const longest = [1, 2, 3, 7, 8, 2_000].map((attempt) => backoffMs(attempt, { baseMs: 10, maxMs: 1_000, random: () => 1 }));
    expect(longest).toEqual([10, 20, 40, 640, 1_000, 1_000]);
  });
});

describe('sleep', () => {
  test('ends with the reason of its signal, at once, and leaves no timer', async () => {
    const stop = new AbortController();
    const sleeping = sleep(60_000, stop.signal);
    stop.abort(new Error('draining'));
    await expect(sleeping).rejects.toThrow('draining');
    await expect(sleep(60_000, stop.signal)).rejects.toThrow('draining');
    expect(jest.getTimerCount()).toBe(0);
  });

  test('lasts its time', async () => {
    const sleeping = sleep(50, new AbortController().signal);
    await jest.advanceTimersByTimeAsync(50);
    await expect(sleeping).resolves.toBeUndefined();
  });
});

describe('retry', () => {
  test('goes on until the work succeeds and tells each attempt', async () => {
    const told: number[] = [];
    const work = retry(async (attempt) => (attempt < 4 ? Promise.reject(new Error('down')) : attempt), {
      ...always,
      signal: new AbortController().signal,
      onRetry: ({ attempt }) => void told.push(attempt),
    });
    await jest.runAllTimersAsync();
    await expect(work).resolves.toBe(4);
    expect(told).toEqual([1, 2, 3]);
  });

  test('throws an error that is not retryable as it is', async () => {
    const poison = new Error('poison');
    const work = retry(() => Promise.reject(poison), { ...always, retryable: () => false, signal: new AbortController().signal });
    await expect(work).rejects.toBe(poison);
  });

  test('throws the last error at its limit', async () => {
    let attempts = 0;
    const work = retry(() => Promise.reject(new Error(`down ${(attempts += 1)}`)), {
      ...always,
      attemptsMax: 3,
      signal: new AbortController().signal,
    });
    const refused = expect(work).rejects.toThrow('down 3');
    await jest.runAllTimersAsync();
    await refused;
  });

  test('ends in the middle of a wait when the signal aborts, and starts nothing under an aborted one', async () => {
    const stop = new AbortController();
    let attempts = 0;
    const down = (): Promise<never> => Promise.reject(new Error(`down ${(attempts += 1)}`));
    const work = retry(down, { ...always, random: () => 1, signal: stop.signal, onRetry: () => void Promise.resolve().then(() => stop.abort(new Error('stop'))) });
    await expect(work).rejects.toThrow('stop');
    await expect(retry(down, { ...always, signal: stop.signal })).rejects.toThrow('stop');
    expect(attempts).toBe(1);
  });
});
