/** A saga as lists show it: what its row says, and whom it waits for. Pure. */
import { OPEN_SAGA_STATES, type Refusal, type SagaStateName } from '@millrace/domain';
import { isOpen, partsOf, sagaOf, type OpenSaga, type Part, type Saga } from '@millrace/saga';
import type { ShardId } from '@millrace/write';
import type { StoredSaga, SummaryRow } from './read.sql.ts';

export interface SagaSummary {
  readonly row: Omit<StoredSaga, 'body'>;
  readonly shard: ShardId;
  readonly attempt: number;
  /** Of one that is undone, or about to be. */
  readonly cause: Refusal | undefined;
  /** Parts that have not answered; of a list, the first. */
  readonly waitsFor: readonly Part[];
  /** How many there are. */
  readonly waiting: number;
}

/** A saga with all that it is. */
export interface FoundSaga extends SagaSummary {
  readonly saga: Saga;
}

export function summaryOf({ attempt, cause, waiting, parts, ...row }: SummaryRow, shard: ShardId): SagaSummary {
  return { row, shard, attempt, cause: cause ?? undefined, waitsFor: parts, waiting };
}

export function foundOf(row: StoredSaga, shard: ShardId): FoundSaga {
  const saga = sagaOf(row);
  const waitsFor = isOpen(saga) ? partsOf(saga) : [];
  return { row, shard, attempt: saga.attempt, cause: 'cause' in saga ? saga.cause : undefined, waitsFor, waiting: waitsFor.length, saga };
}

export function isOpenState(state: SagaStateName): state is OpenSaga['state'] {
  return (OPEN_SAGA_STATES as readonly SagaStateName[]).includes(state);
}
