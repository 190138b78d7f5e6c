/** A saga in the words of the API. Pure. */
import type { SagaStateName } from '@millrace/domain';
import type { Saga, Stage } from '@millrace/saga';

/** What clients see of a state: an order, a return or a transfer is `placed` until it ends. */
export const PUBLIC_STATES = ['placed', 'confirmed', 'rejected', 'cancelled'] as const;
export type PublicState = (typeof PUBLIC_STATES)[number];

/** The stages of a history. `reserved`: all of it is kept, so that it will be confirmed; `undoing`: what was kept is given back. */
export const STAGES = ['placed', 'reserved', 'undoing', 'confirmed', 'rejected', 'cancelled'] as const;

const STAGE_OF = {
  reserving: 'placed',
  confirming: 'reserved',
  undoing: 'undoing',
  confirmed: 'confirmed',
  rejected: 'rejected',
  cancelled: 'cancelled',
} as const satisfies Record<SagaStateName, (typeof STAGES)[number]>;

export interface Cause {
  readonly code: string;
  readonly detail?: unknown;
}

export function publicState(state: SagaStateName): PublicState {
  return state === 'confirmed' || state === 'rejected' || state === 'cancelled' ? state : 'placed';
}

/** State, reason and facts, as reads and outcomes tell them. The reason stands there as soon as it is being undone. */
export function standing(state: SagaStateName, cause?: Cause | null): { readonly state: PublicState; readonly reason?: string; readonly detail?: unknown } {
  const { code, detail } = cause ?? {};
  return { state: publicState(state), ...(code === undefined ? {} : { reason: code }), ...(detail === undefined ? {} : { detail }) };
}

/** Why it is being undone, or was. */
export function causeOf(saga: Saga): Cause | undefined {
  return 'cause' in saga ? saga.cause : undefined;
}

export function historyJson(history: readonly Stage[]): readonly { readonly state: string; readonly at: string }[] {
  return history.map(({ state, at_ms: atMs }) => ({ state: STAGE_OF[state], at: new Date(atMs).toISOString() }));
}
