/**
 * A saga: its parts, and how far it is. A union of states, each with only what it needs.
 *
 *   reserving --all held--> confirming --all confirmed--> confirmed
 *       | one refused, deadline, cancel
 *       v
 *   undoing --all released--> rejected | cancelled
 *
 * The pivot is the last hold: until then everything can be given back, from then on it only goes forward.
 */
import type { Direction, Refusal } from '@millrace/domain';

export type SagaKind = 'order' | 'return' | 'transfer';

/** What is asked of one participant. */
export type Part =
  | { readonly kind: 'account'; readonly id: string; readonly direction: Direction; readonly amount: string; readonly currency: string }
  | { readonly kind: 'stock'; readonly id: string; readonly direction: Direction; readonly quantity: number };

/** When it came to a state, in milliseconds since 1970 by Kafka's log. */
export interface Stage {
  readonly state: Saga['state'];
  readonly at_ms: number;
}

interface Common {
  readonly kind: SagaKind;
  readonly parts: readonly Part[];
  readonly history: readonly Stage[];
  /** How often an operator had what is open sent again. */
  readonly attempt: number;
  /** Of a return: so many units of so many lines of its order. */
  readonly claim?: readonly LineClaim[];
}

export interface LineClaim {
  /** From 0. */
  readonly line: number;
  readonly quantity: number;
}

/** Parts by their index that have not answered in this state. */
interface Waiting {
  readonly waiting: readonly number[];
}

export type Reserving = Common & Waiting & { readonly state: 'reserving'; readonly dueMs: number };
export type Confirming = Common & Waiting & { readonly state: 'confirming' };
export type Undoing = Common & Waiting & { readonly state: 'undoing'; readonly ends: 'rejected' | 'cancelled'; readonly cause: Refusal };
/** `returned`: of an order, the units of each line that were returned, or are about to be; absent before the first return. */
export type Confirmed = Common & { readonly state: 'confirmed'; readonly returned?: readonly number[] };
export type Undone = Common & { readonly state: 'rejected' | 'cancelled'; readonly cause: Refusal };

export type OpenSaga = Reserving | Confirming | Undoing;
export type Saga = OpenSaga | Confirmed | Undone;

/** True until it has ended. */
export function isOpen(saga: Saga): saga is OpenSaga {
  return saga.state === 'reserving' || saga.state === 'confirming' || saga.state === 'undoing';
}

/** A part as people and logs name it: `account/acc-1`. */
export function nameOfPart({ kind, id }: Pick<Part, 'kind' | 'id'>): string {
  return `${kind}/${id}`;
}
