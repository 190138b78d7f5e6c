import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createBreaker } from './breaker.ts';
import type { Breaker } from './breaker.ts';
import { createLog } from './log.ts';
import { createRegistry } from './metrics.ts';
import type { Registry } from './metrics.ts';

const RESET_MS = 1_000;
const down = new Error('down');
const log = createLog({ name: 'test', level: 'silent' });
let registry: Registry;
let breaker: Breaker;

beforeEach(() => {
  jest.useFakeTimers();
  registry = createRegistry();
  breaker = createBreaker({ name: 'kafka', resetMs: RESET_MS, log, registry });
});
afterEach(() => {
  breaker.shutdown();
  jest.useRealTimers();
});

function fail(times: number): void {
  for (let i = 0; i < times; i += 1) breaker.failed(down);
}

async function halfOpen(): Promise<void> {
  fail(20);
  await jest.advanceTimersByTimeAsync(RESET_MS);
  expect(breaker.state()).toBe('half-open');
}

describe('a breaker', () => {
  test('opens in the turn of the twentieth failure and not before', () => {
    fail(19);
    expect([breaker.state(), breaker.admits(), breaker.retryAfterMs()]).toEqual(['closed', true, 0]);
    fail(1);
    expect([breaker.state(), breaker.admits(), breaker.retryAfterMs()]).toEqual(['open', false, RESET_MS]);
  });

  test('stays closed while at most half of the results are failures', async () => {
    for (let i = 0; i < 30; i += 1) breaker.succeeded();
    await jest.advanceTimersByTimeAsync(0);
    fail(30);
    expect(breaker.state()).toBe('closed');
    fail(1);
    expect(breaker.state()).toBe('open');
  });

  test('half-open admits exactly one probe, whose success closes it', async () => {
    await halfOpen();
    expect([breaker.admits(), breaker.admits(), breaker.admits()]).toEqual([true, false, false]);
    breaker.succeeded();
    await jest.advanceTimersByTimeAsync(0);
    expect([breaker.state(), breaker.admits(), breaker.admits()]).toEqual(['closed', true, true]);
  });

  test('the failure of the probe opens it for another period, after which there is another probe', async () => {
    await halfOpen();
    expect(breaker.admits()).toBe(true);
    breaker.failed(down);
    expect([breaker.state(), breaker.admits()]).toEqual(['open', false]);
    await jest.advanceTimersByTimeAsync(RESET_MS);
    expect([breaker.state(), breaker.admits(), breaker.admits()]).toEqual(['half-open', true, false]);
  });

  test('a probe that never reports loses its place after the period', async () => {
    await halfOpen();
    expect(breaker.admits()).toBe(true);
    await jest.advanceTimersByTimeAsync(RESET_MS - 1);
    expect([breaker.admits(), breaker.retryAfterMs()]).toEqual([false, 1]);
    await jest.advanceTimersByTimeAsync(1);
    expect([breaker.admits(), breaker.admits()]).toEqual([true, false]);
  });

  test('results that come while it is open change nothing', async () => {
    fail(20);
    breaker.succeeded();
    fail(5);
    await jest.advanceTimersByTimeAsync(RESET_MS - 1);
    expect(breaker.state()).toBe('open');
    await jest.advanceTimersByTimeAsync(1);
    expect(breaker.state()).toBe('half-open');
  });

  test('old failures leave the window', async () => {
    fail(19);
    await jest.advanceTimersByTimeAsync(30_000);
    fail(1);
    expect(breaker.state()).toBe('closed');
  });

  test('several share one registry, told apart by label', async () => {
    const other = createBreaker({ name: 'shard a', resetMs: RESET_MS, log, registry });
    fail(20);
    breaker.admits();
    const text = await registry.metrics();
    expect(text).toContain('millrace_breaker_state{breaker="kafka"} 2');
    expect(text).toContain('millrace_breaker_state{breaker="shard a"} 0');
    expect(text).toContain('millrace_breaker_refused_total{breaker="kafka"} 1');
    other.shutdown();
  });
});
