/** Timers that are due. */
import type { Sql } from '@millrace/postgres';
import type { Slot } from '@millrace/write';

export interface DueTimer {
  readonly slot: Slot;
  readonly key: string;
  readonly saga: string;
  readonly due_ms: bigint;
}

export interface DuePage {
  readonly slots: readonly Slot[];
  /** What was due by then. */
  readonly untilMs: number;
  /** The last timer of the page before. */
  readonly behind: DueTimer | undefined;
  readonly rowsMax: number;
}

/**
 * A page of what is due, the longest due first.
 *
 * By the index of timers, whatever the planner believes: it holds open sagas alone. The slot is compared so that the
 * primary key, which begins with it, cannot serve.
 */
export function readDue({ slots, untilMs, behind, rowsMax }: DuePage): Sql {
  return {
    name: 'saga-due',
    text: `select slot, key, saga, due_ms from saga
           where due_ms between $2 and $3 and slot + 0 = any ($1::int[]) and (due_ms, slot, key, saga) > ($2, $4, $5, $6)
           order by due_ms, slot, key, saga limit $7`,
    values: [slots, behind?.due_ms ?? 0n, untilMs, behind?.slot ?? -1, behind?.key ?? '', behind?.saga ?? '', rowsMax],
  };
}
