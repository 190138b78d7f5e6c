import { expect, test } from '@jest/globals';

import { isGood, type MainJobResult } from './main-job.ts';
import { NONE_OPEN } from './standing.ts';
import { formatOpen } from './summary.ts';

const good = { drive: { ending: { is: 'complete' }, failed: 0, unexpectedEnds: {} }, open: NONE_OPEN, verdict: { clean: true } } as unknown as MainJobResult;

test('a main job is good where all is acked, applied once, and ended as it can', () => {
  expect(isGood(good)).toBe(true);
});

test.each<[string, object]>([
  ['the verdict is not clean', { verdict: { clean: false } }],
  ['the run ended early', { drive: { ...good.drive, ending: { is: 'aborted' } } }],
  ['the gateway refused a write', { drive: { ...good.drive, failed: 1 } }],
  ['an order ended as it must not', { drive: { ...good.drive, unexpectedEnds: { rejected: 1 } } }],
  ['a saga is open', { open: { ...NONE_OPEN, sagas: 1, oldestSeconds: 3 } }],
  ['a record of a saga is parked, be it a start that has begun none', { open: { ...NONE_OPEN, parkedKeys: 1 } }],
])('it is not where %s', (_what, bad) => {
  expect(isGood({ ...good, ...bad })).toBe(false);
});

test('what has not ended is told with its age and where to look, and nothing is told of nothing', () => {
  expect(formatOpen(NONE_OPEN)).toEqual([]);
  expect(formatOpen({ ...NONE_OPEN, orders: 2, sagas: 5, oldestSeconds: 61 }).join()).toMatch(/2 orders, 3 returns and transfers, the oldest 61 s old.*sagas list/);
  expect(formatOpen({ ...NONE_OPEN, parkedKeys: 3 }).join()).toMatch(/3 parked keys.*parked list/);
});
