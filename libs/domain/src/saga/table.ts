/**
 * Sagas, each beside what it is about: in the slot of its order, or of its transfer.
 *
 * `body` is what its state needs, by the codec of `libs/saga`. `due_ms` is its timer: a row that is due is fired by the
 * slot's owner as a record of the stream, so that time enters only through the log; it moves with its slot.
 */
import type { Table } from '../model.ts';

export const SAGA_STATES = ['reserving', 'confirming', 'undoing', 'confirmed', 'rejected', 'cancelled'] as const;
export type SagaStateName = (typeof SAGA_STATES)[number];
export const OPEN_SAGA_STATES = ['reserving', 'confirming', 'undoing'] as const satisfies readonly SagaStateName[];

export type SagaRow = {
  /** The routing key of the order, or of the transfer. */
  readonly key: string;
  /** `order`, `return/<id>`, `transfer`. */
  readonly saga: string;
  readonly state: SagaStateName;
  readonly body: object;
  /** When it times out, in milliseconds since 1970; null where it waits without a limit, or for nothing. */
  readonly due_ms: bigint | null;
  readonly started_ms: bigint;
  readonly changed_ms: bigint;
};

export const saga: Table<SagaRow> = {
  name: 'saga',
  stream: 'sagas',
  key: ['key', 'saga'],
  columns: { key: 'text', saga: 'text', state: 'text', body: 'jsonb', due_ms: 'bigint', started_ms: 'bigint', changed_ms: 'bigint' },
};

export const sagaMigration = {
  id: 'domain-saga-1',
  sql: `
create table saga (
  slot int not null,
  key text collate "C" not null,
  saga text collate "C" not null,
  state text collate "C" not null check (state in (${SAGA_STATES.map((state) => `'${state}'`).join(', ')})),
  body jsonb not null,
  due_ms bigint,
  started_ms bigint not null,
  changed_ms bigint not null,
  primary key (slot, key, saga)
) with (fillfactor = 80);
-- The returns of an order in the order of their start, which a client reads from the last one on.
create index saga_returns on saga (slot, key, started_ms, length(saga), saga) where saga >= 'return/' and saga < 'return0';
create index saga_due on saga (due_ms) where due_ms is not null;
create index saga_open on saga (started_ms) where state in (${OPEN_SAGA_STATES.map((state) => `'${state}'`).join(', ')})`,
};
