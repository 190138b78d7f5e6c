/** A saga as its row on the shard. The body is what its state needs; state and times are columns. */
import type { SagaRow, SagaRef } from '@millrace/domain';
import { must } from '@millrace/write';
import type { Saga } from './saga.ts';

export function rowOf({ key, saga: name }: SagaRef, saga: Saga): SagaRow {
  const { state, history, ...rest } = saga;
  const { dueMs, ...body } = { dueMs: null, ...rest };
  return {
    key,
    saga: name,
    state,
    body: { ...body, history },
    due_ms: dueMs === null ? null : BigInt(dueMs),
    started_ms: BigInt(must(history[0], 'a saga has begun').at_ms),
    changed_ms: BigInt(must(history.at(-1), 'a saga has begun').at_ms),
  };
}

/** The row was written by `rowOf`: what it says is not checked again. */
export function sagaOf({ state, body, due_ms: due }: Pick<SagaRow, 'state' | 'body' | 'due_ms'>): Saga {
  return { ...body, state, ...(due === null ? {} : { dueMs: Number(due) }) } as Saga;
}
