/**
 * A write that goes on to a saga: an order, a cancel, a return, a transfer. How far it is. Pure.
 *
 * Stream `writes` settles whether it goes on; whether it succeeds, and when it has ended, is the saga's to say.
 */
import { OPEN_SAGA_STATES, orderPlace } from '@millrace/domain';
import type { StatusRow } from './statuses.sql.ts';
import type { Wanted } from './watch.ts';

/**
 * `nowhere`: it has nothing to do with sagas. `unanswered`: the saga has not taken it. `open`: the saga that took it goes
 * on. `parked`: what the saga should hear waits for an operator, so nothing comes of itself.
 */
export type Course = 'nowhere' | 'unanswered' | 'open' | 'ended' | 'refused' | 'parked';

export function courseOf({ goes_on: goesOn, answer, saga_state: state, stuck }: Pick<StatusRow, 'goes_on' | 'answer' | 'saga_state' | 'stuck'>): Course {
  if (!goesOn) return 'nowhere';
  if (answer === 'refused') return 'refused';
  const isOpen = state === null || OPEN_SAGA_STATES.some((open) => open === state);
  if (!isOpen) return 'ended';
  if (stuck !== null) return 'parked';
  return answer === null ? 'unanswered' : 'open';
}

/** An order is placed as soon as it has its row; the others ask something of a saga, and nothing is done before it answers. */
export function isTaken({ type }: Pick<StatusRow, 'type'>): boolean {
  return type === orderPlace.type;
}

/** `answer`: until the saga has taken or refused it; `end`: until what it asked for has come to its end. */
export type Until = 'answer' | 'end';

/** What a write still has to wait for; undefined where it has come so far, or where nothing comes of itself. */
export function wantedOf(row: StatusRow, until: Until): Wanted | undefined {
  const course = courseOf(row);
  const waits = until === 'end' ? course === 'unanswered' || course === 'open' : course === 'unanswered' && !isTaken(row);
  if (!waits || row.key === null) return undefined;
  return { is: 'saga', key: row.key, from: row.sagas_offset, ended: until === 'end' };
}
