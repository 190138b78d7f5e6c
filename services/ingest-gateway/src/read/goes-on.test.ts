import { describe, expect, test } from '@jest/globals';
import { courseOf, wantedOf, type Course, type Until } from './goes-on.ts';
import type { StatusRow } from './statuses.sql.ts';

const applied: StatusRow = {
  n: 1n, slot_state: 'ACTIVE', moved_to: null, next_offset: 9n, outcome: 'applied', key: 'demo/ord-1', type: 'order.cancel', detail: null, at_ms: 0n, parked: false, reason: null,
  goes_on: true, sagas_offset: 7n, answer: null, answer_detail: null, saga_state: null, saga_cause: null, stuck: null,
};

const cases: readonly (readonly [string, Partial<StatusRow>, Course, readonly Until[]])[] = [
  ['that sends nothing to a saga', { goes_on: false }, 'nowhere', []],
  ['that its saga has not taken', {}, 'unanswered', ['answer', 'end']],
  ['that places an order, which stands there already', { type: 'order.place' }, 'unanswered', ['end']],
  ['that its saga has refused', { answer: 'refused' }, 'refused', []],
  ['that its saga has refused, though records wait', { answer: 'refused', stuck: 'bad' }, 'refused', []],
  ['whose saga reserves', { answer: 'applied', saga_state: 'reserving' }, 'open', ['end']],
  ['whose saga confirms', { answer: 'applied', saga_state: 'confirming' }, 'open', ['end']],
  ['whose saga is undone', { answer: 'applied', saga_state: 'undoing' }, 'open', ['end']],
  ['whose saga is confirmed', { answer: 'applied', saga_state: 'confirmed' }, 'ended', []],
  ['whose saga is rejected', { answer: 'applied', saga_state: 'rejected' }, 'ended', []],
  ['whose saga is cancelled, though records wait', { answer: 'applied', saga_state: 'cancelled', stuck: 'bad' }, 'ended', []],
  ['that waits behind a record that cannot be read', { stuck: 'bad' }, 'parked', []],
  ['whose open saga waits behind one', { answer: 'applied', saga_state: 'reserving', stuck: 'bad' }, 'parked', []],
];

describe('a write', () => {
  test.each(cases)('%s', (_case, row, course, waits) => {
    const status = { ...applied, ...row };
    expect(courseOf(status)).toBe(course);
    for (const until of ['answer', 'end'] as const) {
      expect(wantedOf(status, until)).toEqual(waits.includes(until) ? { is: 'saga', key: 'demo/ord-1', from: 7n, ended: until === 'end' } : undefined);
    }
  });
});
