import { describe, expect, test } from '@jest/globals';
import type { OutgoingRecord } from '@millrace/kafka';
import { parseWrite, type WriteEnvelope } from '@millrace/wire';
import type { Slot } from '@millrace/write';
import fc from 'fast-check';
import type { DueTimer } from './due.sql.ts';
import { createFired } from './fired.ts';
import { timeoutRecord } from './timeout.ts';

const timer = (n: number): DueTimer => ({ slot: 1 as Slot, key: `demo/o-${n}`, saga: 'order', due_ms: BigInt(n) });
const LIMITS = { baseMs: 1_000, maxMs: 8_000, timersMax: 5 };

describe('timers that stand', () => {
  test('one is fired once, again only after a while, and each time later up to a limit', () => {
    const fired = createFired(LIMITS);
    const shots: number[] = [];
    for (let nowMs = 0; nowMs <= 40_000; nowMs += 500) {
      const due = fired.due([timer(1)], nowMs);
      if (due.length > 0) shots.push(nowMs);
      fired.shot(due, nowMs);
      fired.passed();
    }
    expect(shots).toEqual([0, 1_000, 3_000, 7_000, 15_000, 23_000, 31_000, 39_000]);
  });

  test('one that could not be sent is fired at the next look', () => {
    const fired = createFired(LIMITS);
    expect(fired.due([timer(1)], 0)).toHaveLength(1);
    expect(fired.due([timer(1)], 1)).toHaveLength(1);
  });

  test('one that a whole pass did not see is forgotten', () => {
    const fired = createFired(LIMITS);
    fired.shot(fired.due([timer(1)], 0), 0);
    fired.passed();
    fired.passed();
    expect(fired.due([timer(1)], 1)).toHaveLength(1);
  });

  test('however many are due, no more are fired than are remembered, and all once those before are gone', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 40 }), (count) => {
        const fired = createFired(LIMITS);
        let left = Array.from({ length: count }, (_, n) => timer(n));
        const shots: string[] = [];
        for (let passes = 0; left.length > 0; passes += 1) {
          expect(passes).toBeLessThan(20);
          const due = fired.due(left, passes);
          expect(due.length).toBeLessThanOrEqual(LIMITS.timersMax);
          fired.shot(due, passes);
          fired.passed();
          shots.push(...due.map(({ key }) => key));
          left = left.filter((one) => !due.includes(one));
          fired.due(left, passes);
          fired.passed();
        }
        expect(new Set(shots).size).toBe(count);
        expect(shots).toHaveLength(count);
      }),
    );
  });

  test('each shot is a record of its own, which names the timer', () => {
    const keyOf = (record: OutgoingRecord) => (parseWrite(Buffer.from(record.value)) as WriteEnvelope).idempotencyKey;
    const shots = [timeoutRecord(timer(1), 10), timeoutRecord(timer(1), 11), timeoutRecord({ ...timer(1), due_ms: 2n }, 10)];
    expect(new Set(shots.map(keyOf)).size).toBe(3);
    expect(shots.map(({ value }) => (parseWrite(Buffer.from(value)) as WriteEnvelope).data)).toEqual([1, 1, 2].map((dueMs) => ({ saga: 'order', due_ms: dueMs })));
  });
});
