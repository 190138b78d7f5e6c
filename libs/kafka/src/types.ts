/** What the rest of Millrace sees of Kafka; kafkajs stays behind these types. */
import type { Log } from '@millrace/runtime';
import type { Offset, Slot } from '@millrace/write';
import type { Kafka } from 'kafkajs';

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
}

/** One set of brokers. It holds no connection: whoever sends, consumes or asks opens and closes its own. */
export interface KafkaClient {
  readonly brokers: readonly string[];
  readonly clientId: string;
  readonly log: Log;
  /** Where to connect for a broker's advertised address. For libs/kafka only. */
  route(address: BrokerAddress): BrokerAddress;
  /** A fresh kafkajs instance with sockets of its own. For libs/kafka only. */
  open(settings?: { readonly requestTimeoutMs?: number; readonly retries?: number }): KafkaConnection;
}

/** For libs/kafka only. */
export interface KafkaConnection {
  readonly kafkajs: Kafka;
  /** Destroys the sockets to a broker (`host:port`): after a request that timed out. */
  cut(broker: string): void;
}

/** What is sent: slot = partition. Key and value are UTF-8. */
export interface OutgoingRecord {
  readonly slot: number;
  readonly key: string | Buffer | null;
  readonly value: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Sent {
  readonly offset: Offset;
}

export interface LaneLimits {
  readonly recordsPerRequestMax: number;
  /** Over all lanes, waiting and in flight. */
  readonly queuedRecordsMax: number;
  /** Keys and values over all lanes, waiting and in flight. */
  readonly queuedBytesMax: number;
  /** How long the broker may take over one request. A record is given up after twice as long. */
  readonly requestTimeoutMs: number;
  /** Keys and values in one request; 800 kB without it, below Kafka's batch limit of 1 MiB. One record may be larger, alone. */
  readonly bytesPerRequestMax?: number;
  /**
   * How long a lane gathers behind a request of few records, 0 without it; what comes after a quiet time does not wait.
   * As the producer's `linger.ms`, which is 5 since Kafka 4.0 (KIP-1030).
   */
  readonly gatherMs?: number;
}

/** What the lanes tell; every call is cheap. `createLaneMetrics` makes one for a prom-client registry. */
export interface LaneMetrics {
  requestStored(request: { readonly records: number; readonly bytes: number; readonly tookMs: number }): void;
  requestUnknown(request: { readonly records: number; readonly error: Error }): void;
  queued(queue: { readonly records: number; readonly bytes: number }): void;
}

/** One lane per leader broker, one request in flight per lane. */
export interface Lanes {
  /**
   * Resolves when Kafka holds the record (acks=all).
   * Rejects with ProduceUnknown (it may be stored, once or more), or with LaneFull, LanesClosed, KafkaUnavailable or
   * ProduceRefused (it is not stored).
   */
  send(record: OutgoingRecord): Promise<Sent>;
  /**
   * Sends all of them and resolves with their offsets, in the order given. Waits for room instead of refusing, so
   * the caller is held back. Rejects with the first error of `send`, once all of them are settled: some may be stored,
   * but none behind one of its slot that was given up. `stored` takes the offsets of those that are, each at its place.
   */
  sendMany(records: readonly OutgoingRecord[], stored?: Offset[]): Promise<readonly Offset[]>;
  /** False where `send` of that many more bytes would be refused with LaneFull. */
  hasRoom(bytes: number): boolean;
  /** What waits or is in flight. */
  queued(): { readonly records: number; readonly bytes: number };
  /** Resolves when nothing waits and nothing is in flight. */
  drain(): Promise<void>;
  /** Refuses new records, drains and disconnects. */
  close(): Promise<void>;
}

export interface SlotRecord {
  readonly offset: Offset;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** Kafka's log-append time. */
  readonly timestampMs: number;
}

export interface SlotBatch {
  readonly slot: Slot;
  /** At least one, offsets rising, gaps possible. */
  readonly records: readonly SlotRecord[];
  /** The offset after the last record of the slot when this was fetched. */
  readonly highWatermark: bigint;
}

export interface SlotConsumerHandlers {
  /** All slots of this member after a rebalance; those that were in the call before and are not now are revoked. */
  onAssigned(slots: readonly Slot[]): void;
  /**
   * Returning means accepted: the next fetch goes on behind the batch. Nothing of a slot comes while it is paused.
   * Keys and values are views of what was fetched: who keeps one keeps all of it.
   * A throw is a bug: the consumer ends through onCrash.
   */
  onBatch(batch: SlotBatch): void;
  /** The consumer is dead and will not come back: end the process. */
  onCrash(error: Error): void;
}

export interface SlotPosition {
  readonly slot: number;
  /** The next offset to read. */
  readonly offset: bigint;
}

export interface SlotConsumer {
  /** Joins the group. Its coordinator must answer: `waitForKafka` with the group, because kafkajs gives up on one that still loads. @throws what kafkajs throws */
  start(): Promise<void>;
  /** The next batch of the slot starts at the offset; nothing of it comes before it is sought. Slots that are not assigned are ignored, here and below. */
  seek(slot: number, offset: bigint): void;
  pause(slots: Iterable<number>): void;
  resume(slots: Iterable<number>): void;
  /** For people and monitoring, nobody starts from it; failures are logged at debug level and dropped. Nothing is committed once `stop` is called. */
  commit(positions: readonly SlotPosition[]): Promise<void>;
  /** Leaves the group and hands over nothing more. */
  stop(): Promise<void>;
}

export interface TopicSpec {
  readonly name: string;
  readonly partitions: number;
  readonly replicationFactor: number;
  readonly config: Readonly<Record<string, string>>;
}

export interface SlotOffsets {
  readonly slot: Slot;
  /** The oldest offset that is kept. */
  readonly low: bigint;
  /** The offset that the next record gets. */
  readonly high: bigint;
}
