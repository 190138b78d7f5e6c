/** Sagas that have not ended, counted. */
import type { Sql } from '@millrace/postgres';
import type { Slot } from '@millrace/write';
import { OPEN } from './sagas/open.sql.ts';

export interface OpenCount {
  readonly state: string;
  readonly sagas: bigint;
  readonly oldest_ms: bigint;
  /** Since when the one that is longest in this state is in it. */
  readonly since_ms: bigint;
  readonly due_ms: bigint | null;
}

/** By the index of open sagas: what has ended costs nothing. */
export function countOpen(slots: readonly Slot[]): Sql {
  return {
    name: 'saga-open-count',
    text: `select state, count(*) as sagas, min(started_ms) as oldest_ms, min(changed_ms) as since_ms, min(due_ms) as due_ms from saga where ${OPEN} and started_ms >= 0 and slot + 0 = any ($1::int[]) group by state`,
    values: [slots],
  };
}
