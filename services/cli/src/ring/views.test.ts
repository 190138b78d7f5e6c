import { expect, test } from '@jest/globals';

import { bytesText, millisecondsText, secondsText } from './figures.ts';
import { summaryOf, summaryText } from './moves-summary.ts';
import { planText } from './plan-view.ts';
import { statusText, type RingStatus } from './status-view.ts';
import { at, movedOf, moveOf, planOf } from './testing/facts.ts';
import { verifiedText } from './verify.ts';

test('figures are short and keep what matters', () => {
  expect([0, 999, 1_000, 999_499, 999_500, 12_345_678, 5e12].map(bytesText)).toEqual(['0 B', '999 B', '1.0 kB', '999.5 kB', '1.0 MB', '12.3 MB', '5.0 TB']);
  expect([0, 59.4, 60, 3_725].map(secondsText)).toEqual(['0 s', '59 s', '1:00', '1:02:05']);
  expect([0, 9.94, 10, 250.4].map(millisecondsText)).toEqual(['0.0 ms', '9.9 ms', '10 ms', '250 ms']);
});

test('a summary has the slots, the rows, the time from the first start to the last end, and the stalls', () => {
  const moves = Array.from({ length: 100 }, (_, slot) => movedOf(slot, { stallMs: slot + 1, endSeconds: slot === 9 ? 20 : 5 }));
  const summary = summaryOf(moves);
  expect(summary).toMatchObject({ slots_moved: 100, rows: 10_000, bytes: 100_000, seconds: 20, stall_ms: { p50: 50, p99: 99, max: 100 } });
  expect(summaryText(summary)).toBe('100 slots moved: 10,000 rows, 100.0 kB in 20 s, 5.0 kB/s\napply stall of a slot: p50 50 ms, p99 99 ms, max 100 ms');
});

test('a summary of one slot is its own median; of none there is no stall to tell', () => {
  expect(summaryOf([movedOf(1, { stallMs: 7 })]).stall_ms).toEqual({ p50: 7, p99: 7, max: 7 });
  const aborted = [1, 2].map((slot) => moveOf(slot, { state: 'aborted', phase: 'aborted', error: 'table journal: 5 rows, not 4', ended_at: at(2) }));
  expect(summaryText(summaryOf(aborted))).toBe('0 slots moved: 0 rows, 0 B in 2 s, 0 B/s\n2 slots did not move\n  table journal: 5 rows, not 4');
});

test('a preview tells how many slots go where, what it costs, and the load that results', () => {
  const moves = [
    { slot: 5, source: 'a', target: 'c', rows: 1_000, bytes: 2_000_000 },
    { slot: 6, source: 'b', target: 'c', rows: 500, bytes: 500 },
    { slot: 7, source: 'a', target: 'c', rows: 1, bytes: 1 },
  ];
  expect(planText(planOf({ state: 'preview', moves }))).toBe(
    [
      'plan 3 (preview, by slots): 3 slots move',
      '  1,501 rows, 2.0 MB; about 12 s, each slot unapplied for about 60 ms',
      '  a -> c: 2 slots',
      '  b -> c: 1 slot',
      '  shard  weight  slots before  after',
      '  a           1            32     22',
      '  c           1             0     10',
      '  the fullest shard then has 1.031 of its fair share; whole slots allow 1.031 at best',
    ].join('\n'),
  );
  expect(planText(planOf())).toMatch(/^plan 3 \(running, by slots\): nothing moves/);
});

const STATUS: RingStatus = {
  epoch: 12,
  slots: 64,
  leader: { holder: 'ring-manager', token: '3', expires_at: at(6) },
  shards: [
    { shard: 'a', state: 'active', weight: 1, slots: 48 },
    { shard: 'c', state: 'joining', weight: 0.5, slots: 16 },
  ],
  plans: [],
  moves: [],
};

test('the status of a ring at rest is its members', () => {
  expect(statusText(STATUS)).toBe(
    [
      'epoch 12, 64 slots, ring-manager leads',
      '  shard  state    weight  slots   share',
      '  a      active        1     48  75.0 %',
      '  c      joining     0.5     16  25.0 %',
      'no slot is moving',
    ].join('\n'),
  );
  expect(statusText({ ...STATUS, leader: { holder: undefined, token: undefined, expires_at: undefined } })).toContain('no ring-manager leads');
});

test('the status of a ring that changes has its plans, and the moves under way before those that wait', () => {
  const { moves: _, ...running } = planOf({ progress: { moves: 3, done: 1, aborted: 0, rows: 1_234, bytes: 5_000 } });
  const preview = { ...running, id: '4', state: 'preview' as const };
  const ended = { ...running, id: '2', state: 'done' as const };
  const waiting = moveOf(1, { id: '17', state: 'planned', phase: 'planned' });
  const copying = moveOf(2, { id: '18', phase: 'catching_up', paused: true, error: 'shard c does not answer', progress: { rows: 1_000, bytes: 2_000, rounds: 2, stall_ms: 41.2 } });
  const lines = statusText({ ...STATUS, plans: [preview, running, ended], moves: [waiting, copying] }).split('\n').slice(4);
  expect(lines).toEqual([
    'plan 3 (running, by slots): 1/3 slots, 1,234 rows, 5.0 kB',
    'plan 2 (done, by slots): 1/3 slots, 1,234 rows, 5.0 kB',
    '  move  slot  from  to  phase                 rows  copied  rounds  stall',
    '    18     2  a     c   catching_up, paused  1,000  2.0 kB       2  41 ms',
    '    17     1  a     c   planned                  0     0 B       0      -',
    '  move 18: shard c does not answer',
  ]);
});

test('many moves are cut short, and how many more there are is told', () => {
  const moves = Array.from({ length: 20 }, (_, slot) => moveOf(slot));
  expect(statusText({ ...STATUS, moves })).toContain('  and 4 more');
});

test('a compare names the rows that differ, and where they are', () => {
  const differences = [
    { key: ['demo/alice'], on: 'source' as const },
    { key: ['demo/bob', 'p1'], on: 'both' as const },
  ];
  const text = verifiedText(moveOf(5, { id: '9' }), { verified: false, note: undefined, tables: [{ table: 'account', rows: 1_200, differences }] });
  expect(text).toBe('move 9, slot 5: 1,200 rows in 1 table DO NOT AGREE on a and c\n  account demo/alice: only on a\n  account demo/bob p1: on both, not equal');
});
