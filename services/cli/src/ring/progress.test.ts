import { expect, test } from '@jest/globals';

import { createMeter, progressLine } from './progress.ts';
import { movedOf, moveOf, planOf } from './testing/facts.ts';

const planned = (slot: number, rows: number) => ({ slot, source: 'a', target: 'c', rows, bytes: rows * 10 });
const plan = planOf({ moves: [planned(1, 100), planned(2, 100), planned(3, 100), planned(4, 100)] });
const open = (slot: number) => moveOf(slot, { state: 'planned', phase: 'planned' });

test('before anything has moved, the estimate of the plan is the time that is left', () => {
  const progress = createMeter()({ atMs: 0, plan, moves: [1, 2, 3, 4].map(open) });
  expect(progressLine(progress, { bar: true })).toBe('[------------------------] 0 %  0/4 slots  0 rows  0 B, 0 B/s  stall -  ETA 12 s');
});

test('slots, rows, the rate of the last seconds, the last stall, and the time left at this pace', () => {
  const meter = createMeter();
  meter({ atMs: 0, plan, moves: [1, 2, 3, 4].map(open) });
  const moves = [movedOf(1, { stallMs: 91, endSeconds: 3, bytes: 3_000_000 }), movedOf(2, { stallMs: 4.44, endSeconds: 4 }), open(3), open(4)];
  const progress = meter({ atMs: 4_000, plan, moves });
  expect(progressLine(progress, { bar: true })).toBe('[############------------] 50 %  2/4 slots  200 rows  3.0 MB, 750.3 kB/s  stall 4.4 ms  ETA 4 s');
  expect(progressLine(progress, { bar: false })).toMatch(/^50 % {2}2\/4 slots/);
});

test('a move under way counts by its rows, and is never taken for over', () => {
  const meter = createMeter();
  const half = meter({ atMs: 0, plan, moves: [moveOf(1, { progress: { rows: 50 } }), open(2)] });
  expect(half.share).toBe(0.25);
  // Rows were written since the estimate.
  const more = meter({ atMs: 1_000, plan, moves: [moveOf(1, { progress: { rows: 5_000 } }), open(2)] });
  expect(more.share).toBe(0.475);
});

test('the stall of a move that is active and not purged yet is the newest', () => {
  const active = moveOf(2, { phase: 'purging', progress: { stall_ms: 33 } });
  expect(createMeter()({ atMs: 0, plan, moves: [active, movedOf(1, { stallMs: 91 })] }).stallMs).toBe(33);
});

test('a plan that is paused has no time left to tell, and what keeps a move waiting is told', () => {
  const moves = [moveOf(1, { error: 'shard c does not answer' })];
  const line = progressLine(createMeter()({ atMs: 0, plan: { ...plan, state: 'paused' }, moves }), { bar: false });
  expect(line).toMatch(/paused {2}\(shard c does not answer\)$/);
});

test('a plan without moves is whole when it is over', () => {
  expect(createMeter()({ atMs: 0, plan: planOf({ state: 'done' }), moves: [] }).share).toBe(1);
});
