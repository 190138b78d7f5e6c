/** A shard, as far as one slot goes: the rows that stand in its database. */
import type { ShardId } from '@millrace/write';
import type { SlotSide } from '../step.ts';
import { emptyRows, type RowNo, type Rows, type StreamNo } from './rows.ts';
import type { Lockable, Tx } from './transaction.ts';

export interface SlotRow extends SlotSide {
  readonly token: number;
}

/** A turn of a MOVING slot, at this position, changed this row. */
export interface Note {
  readonly stream: StreamNo;
  readonly offset: number;
  readonly row: RowNo;
}

/** How far the copy of an INCOMING slot is; it is written in the transactions that copy. */
export interface Progress {
  /** Ranges in which an earlier move's rows are deleted. */
  readonly emptied: number;
  /** Of each stream: what is below is on the target, but for chunks to come. Undefined before the first chunk. */
  readonly cursor: Positions | undefined;
  readonly chunks: number;
  /** Both sides are compared. */
  readonly compared: boolean;
}

export type Positions = readonly [number, number];
/** Where a shard has no position row. */
export const NO_POSITION = -1;

export interface Shard {
  readonly id: ShardId;
  slot: SlotRow | undefined;
  positions: Positions;
  rows: Rows;
  notes: readonly Note[];
  incoming: Progress | undefined;
  /** Who holds the lock of which row. */
  readonly locks: Map<Lockable, Tx>;
}

export function createShard(id: string): Shard {
  return { id: id as ShardId, slot: undefined, positions: [NO_POSITION, NO_POSITION], rows: emptyRows(), notes: [], incoming: undefined, locks: new Map() };
}

/** W2: only an ACTIVE or MOVING slot applies. */
export function holds(shard: Shard): boolean {
  return shard.slot?.state === 'ACTIVE' || shard.slot?.state === 'MOVING';
}

export function hasRows(shard: Shard): boolean {
  return shard.rows.some((value) => value !== 0);
}

export function withPosition(positions: Positions, stream: StreamNo, next: number): Positions {
  return stream === 0 ? [next, positions[1]] : [positions[0], next];
}
