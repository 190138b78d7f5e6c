/** What the two sides of a verification look like in memory: the log's records and the rows that shards hold. */
import type { Offset, ShardId, Slot, Stream } from '@millrace/write';

/** One record of the topic of a stream. */
export interface LogRecord {
  readonly slot: Slot;
  readonly offset: Offset;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** Kafka's log-append time. */
  readonly timestampMs: number;
}

/** What Kafka keeps of a slot of one stream. */
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
  /** What else `detail` says, as the shard's jsonb gives it; null where it says nothing else. */
  readonly facts: unknown;
  /** What the record sends on, as the shard's jsonb gives it: an array of messages, or null. */
  readonly messages: unknown;
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
  /** Room promised to what will be paid in; no money. */
  readonly incoming: bigint;
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
}

export interface StockRow {
  readonly key: string;
  readonly onHand: bigint;
  readonly reserved: bigint;
  /** Room promised to returns; no units. */
  readonly incoming: bigint;
}

export type HoldState = 'held' | 'confirmed' | 'released';

/** What a participant keeps for a saga, or kept. */
export interface HoldRow {
  /** The participant's routing key. */
  readonly key: string;
  readonly kind: string;
  /** The id of the saga: its routing key and its name. */
  readonly saga: string;
  readonly direction: string;
  readonly units: bigint;
  readonly state: string;
}

export interface SagaRow {
  /** The routing key of the order, or of the transfer. */
  readonly key: string;
  /** Its name within the key. */
  readonly saga: string;
  readonly state: string;
  /** As the shard's jsonb gives it. */
  readonly body: unknown;
  readonly dueMs: bigint | null;
  readonly startedMs: bigint;
  readonly changedMs: bigint;
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

/** What one shard holds of one slot for one stream. */
export interface StreamRows {
  readonly position: Position | null;
  readonly journal: readonly JournalRow[];
  readonly parked: readonly ParkedRow[];
}

/** All rows that one shard holds for one slot. */
export interface SlotRows {
  readonly slotState: SlotState | null;
  readonly streams: Readonly<Record<Stream, StreamRows>>;
  readonly accounts: readonly AccountRow[];
  readonly payments: readonly PaymentRow[];
  readonly orders: readonly OrderRow[];
  readonly stock: readonly StockRow[];
  readonly holds: readonly HoldRow[];
  readonly sagas: readonly SagaRow[];
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
