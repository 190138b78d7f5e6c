/**
 * How long sagas stay in a state. A saga leaves `reserving` after as long as it has run; of the other open states the
 * time of arrival is remembered, of so many sagas and no more: what is forgotten is not measured.
 */
import type { SagaStateName } from '@millrace/domain';
import type { Meaning } from './transition.ts';

type Moved = Extract<Meaning, { readonly is: 'moved' }>;

export interface Stage {
  readonly state: SagaStateName;
  readonly tookMs: number;
}

/** Takes the transitions of a shard in their order: the state that one ends, and how long it took, where that is known. */
export function createStages(sagasMax: number): (moved: Moved) => Stage | undefined {
  const arrived = new Map<string, { readonly state: SagaStateName; readonly afterMs: number }>();

  return ({ id, state, starts, isRetry, afterMs }) => {
    if (starts || isRetry) return undefined;
    const before = arrived.get(id);
    arrived.delete(id);
    if (state === 'confirming' || state === 'undoing') {
      if (arrived.size >= sagasMax) arrived.delete(arrived.keys().next().value ?? id);
      arrived.set(id, { state, afterMs });
      return { state: 'reserving', tookMs: afterMs };
    }
    return before === undefined ? undefined : { state: before.state, tookMs: Math.max(0, afterMs - before.afterMs) };
  };
}
