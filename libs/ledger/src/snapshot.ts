/** What the two sides of a verification look like in memory: the log's records and the rows that shards hold. */
import type { Offset, ShardId, Slot } from '@millrace/write';

/** One record of the topic `writes`. */
export interface LogRecord {
  readonly slot: Slot;
  readonly offset: Offset;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** Kafka's log-append time. */
  readonly timestampMs: number;
}

/** What Kafka keeps of a slot. */
export interface LogEnds {
  readonly slot: Slot;
  /** The oldest offset that is kept; above 0 the log no longer reaches back to the start. */
  readonly low: bigint;
  /** The offset that the next record gets. */
  readonly high: bigint;
}

export type Outcome = 'applied' | 'refused';

export interface JournalRow {
  readonly offset: bigint;
  readonly bodyHash: bigint;
  readonly atMs: number;
  /** 32 hex characters; null for a mismatch and for what an operator skipped unread. */
  readonly digest: string | null;
  readonly outcome: Outcome;
  readonly key: string;
  readonly type: string;
  /** `detail.code`: why a write was refused. */
  readonly code: string | null;
  /** `detail.first`: the offset of the write whose idempotency key a mismatch uses. */
  readonly first: string | null;
  /** `detail.released_by`: the offset of the release that let a parked record go on. */
  readonly releasedBy: string | null;
}

export interface ParkedRow {
  readonly offset: bigint;
  readonly key: string;
  readonly value: Buffer | null;
  readonly atMs: number;
}

/** All money in minor units. */
export interface AccountRow {
  readonly key: string;
  readonly currency: string;
  readonly balance: bigint;
  readonly held: bigint;
}

export interface PaymentRow {
  /** The routing key of the account. */
  readonly account: string;
  readonly payment: string;
  readonly currency: string;
  readonly authorized: bigint;
  readonly captured: bigint;
  readonly refunded: bigint;
  readonly released: bigint;
  readonly orderId: string | null;
}

export interface OrderRow {
  readonly key: string;
  readonly account: string;
  readonly currency: string;
  readonly total: bigint;
  /** An array of {sku, quantity, unit_price}, as the shard's jsonb gives it. */
  readonly lines: unknown;
  readonly state: string;
}

export interface StockRow {
  readonly key: string;
  readonly onHand: bigint;
  readonly reserved: bigint;
}

export interface SlotState {
  readonly state: 'INCOMING' | 'ACTIVE' | 'MOVING' | 'MOVED' | 'ABORTED';
  readonly epoch: bigint;
  readonly movedTo: string | null;
}

export interface Position {
  /** Exactly the offsets below are applied (W1). */
  readonly nextOffset: bigint;
  readonly relayedOffset: bigint;
}

/** All rows that one shard holds for one slot, of the stream `writes` where a table knows streams. */
export interface SlotRows {
  readonly slotState: SlotState | null;
  readonly position: Position | null;
  readonly journal: readonly JournalRow[];
  readonly parked: readonly ParkedRow[];
  readonly accounts: readonly AccountRow[];
  readonly payments: readonly PaymentRow[];
  readonly orders: readonly OrderRow[];
  readonly stock: readonly StockRow[];
}

/** One shard at one instant; a slot without any row may be absent. */
export interface ShardSnapshot {
  readonly shard: ShardId;
  readonly slots: ReadonlyMap<number, SlotRows>;
  /** What is noted of moves: rows of the tables `changed` and `incoming`. */
  readonly notes?: readonly ForeignRows[];
}

/** Rows of a slot in one table of a shard. */
export interface ForeignRows {
  readonly slot: number;
  readonly table: string;
  readonly rows: bigint;
  /** The lowest key or offset among them. */
  readonly sample: string;
}
