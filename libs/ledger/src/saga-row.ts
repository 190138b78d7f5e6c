/** A saga of the model as its row must stand on the shard. */
import type { ModelSaga, SagaPart } from './saga-model.ts';
import { isOpen } from './saga-model.ts';
import type { SagaRow } from './snapshot.ts';

export function sagaRowOf(saga: ModelSaga): SagaRow {
  const { kind, key, name, state, parts, claim, waiting, attempt, ends, cause, returned, dueMs } = saga;
  const history = saga.history.map(({ state: stage, atMs }) => ({ state: stage, at_ms: atMs }));
  const body = {
    kind,
    parts: parts.map(partOf),
    attempt,
    history,
    ...(kind === 'return' ? { claim } : {}),
    ...(isOpen(saga) ? { waiting } : {}),
    ...(state === 'undoing' ? { ends } : {}),
    ...(cause === null ? {} : { cause }),
    ...(returned === null ? {} : { returned }),
  };
  return {
    key,
    saga: name,
    state,
    body,
    dueMs: state === 'reserving' ? BigInt(dueMs) : null,
    startedMs: BigInt(saga.history[0]?.atMs ?? 0),
    changedMs: BigInt(saga.history.at(-1)?.atMs ?? 0),
  };
}

function partOf({ kind, id, direction, amount, currency }: SagaPart): object {
  return kind === 'account' ? { kind, id, direction, amount, currency } : { kind, id, direction, quantity: Number(amount) };
}
