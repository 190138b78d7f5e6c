/**
 * What participants keep for sagas: one row for each account or stock item that a saga asked.
 *
 * A row stays when it is confirmed or released, so that a command that comes again is answered and changes nothing, and a
 * release that comes before its hold leaves a tombstone: `released`, of 0 units (S2).
 */
import type { Direction, ParticipantKind } from '../saga/messages.ts';
import type { Table } from '../model.ts';

export type HoldState = 'held' | 'confirmed' | 'released';

export type HoldRow = {
  /** The participant's routing key. */
  readonly key: string;
  /** An account and a stock item may share a key. */
  readonly kind: ParticipantKind;
  /** The saga's id, as `sagaId` writes it. */
  readonly saga: string;
  readonly direction: Direction;
  /** Minor units of the account's currency, or units of stock. */
  readonly units: bigint;
  readonly state: HoldState;
};

export const hold: Table<HoldRow> = {
  name: 'hold',
  stream: 'writes',
  key: ['key', 'kind', 'saga'],
  columns: { key: 'text', kind: 'text', saga: 'text', direction: 'text', units: 'bigint', state: 'text' },
};

export const holdMigration = {
  id: 'domain-hold-1',
  sql: `
create table hold (
  slot int not null,
  key text collate "C" not null,
  kind text collate "C" not null check (kind in ('account', 'stock')),
  saga text collate "C" not null,
  direction text collate "C" not null check (direction in ('out', 'in')),
  units bigint not null check (units >= 0),
  state text collate "C" not null check (state in ('held', 'confirmed', 'released')),
  primary key (slot, key, kind, saga)
) with (fillfactor = 80)`,
};
