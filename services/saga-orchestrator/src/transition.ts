/** What a committed row of stream `sagas` means: a transition of a saga, a refusal, or neither. Pure. */
import { SAGA_RETRY, sagaId, type SagaStateName } from '@millrace/domain';
import { sagaDefinitions, type SagaKind } from '@millrace/saga';
import type { JournalRow } from '@millrace/slot-processor';
import type { RoutingKey } from '@millrace/write';

export type Meaning =
  | {
      readonly is: 'moved';
      readonly id: string;
      readonly kind: SagaKind;
      readonly state: SagaStateName;
      readonly starts: boolean;
      /** An operator had what is open sent again: the state is the one before. */
      readonly isRetry: boolean;
      readonly reason: string | undefined;
      readonly attempt: string | undefined;
      /** Since its start, by Kafka's log. */
      readonly afterMs: number;
    }
  | { readonly is: 'refused'; readonly type: string; readonly code: string }
  | { readonly is: 'silent' };

const STARTS: ReadonlySet<string> = new Set(sagaDefinitions.map(({ start }) => start));

export function meaningOf({ record, type, outcome, detail }: JournalRow): Meaning {
  if (outcome === 'refused') return { is: 'refused', type, code: detail?.['code'] ?? 'unknown' };
  const { saga, state, after_ms: afterMs, reason, attempt } = detail ?? {};
  if (saga === undefined || state === undefined) return { is: 'silent' };
  return {
    is: 'moved',
    id: sagaId({ key: record.key as RoutingKey, saga }),
    kind: kindOf(saga),
    state: state as SagaStateName,
    starts: STARTS.has(type),
    isRetry: type === SAGA_RETRY,
    reason,
    attempt,
    afterMs: Number(afterMs ?? 0),
  };
}

/** The kind of a saga, from its name within its key: `order`, `return/<id>`, `transfer`. */
export function kindOf(saga: string): SagaKind {
  return saga.split('/', 1)[0] as SagaKind;
}
