/** Errors of the Kafka edge: each class is a policy. */

/** The record may be stored, once or more, or not. The sender tries again with the same idempotency key. */
export class ProduceUnknown extends Error {
  override readonly name = 'ProduceUnknown';
  readonly code = 'produce_unknown';
  readonly retryable = true;

  constructor(topic: string, cause?: unknown) {
    super(`the fate of a produce to ${topic} is unknown; send again with the same idempotency key`, { cause });
  }
}

/** Kafka will never take this record (too large, not authorised). Not stored, and sending it again is no use. */
export class ProduceRefused extends Error {
  override readonly name = 'ProduceRefused';
  readonly code = 'produce_refused';
  readonly retryable = false;
  /** Of https://kafka.apache.org/protocol#protocol_error_codes */
  readonly kafkaErrorCode: number;

  constructor(topic: string, kafkaErrorCode: number) {
    super(`Kafka refuses a record for ${topic} with its error code ${kafkaErrorCode}`);
    this.kafkaErrorCode = kafkaErrorCode;
  }
}

/** Not stored: the queue is at its limit. */
export class LaneFull extends Error {
  override readonly name = 'LaneFull';
  readonly code = 'lane_full';
  readonly retryable = true;

  constructor(topic: string) {
    super(`the queue to ${topic} is full; try again later`);
  }
}

/** Not stored: this process is draining. */
export class LanesClosed extends Error {
  override readonly name = 'LanesClosed';
  readonly code = 'lanes_closed';
  readonly retryable = true;

  constructor(topic: string) {
    super(`the lanes to ${topic} are closed`);
  }
}

/** A topic exists with another shape than the system needs. An operator decides; nothing is changed. */
export class TopicMismatch extends Error {
  override readonly name = 'TopicMismatch';
  readonly code = 'topic_mismatch';
  readonly retryable = false;
  readonly topic: string;

  constructor(topic: string, problems: readonly string[]) {
    super(`topic ${topic}: ${problems.join('; ')}`);
    this.topic = topic;
  }
}

/** Kafka did not answer in time. Of a produce: not stored, it was never sent. */
export class KafkaUnavailable extends Error {
  override readonly name = 'KafkaUnavailable';
  readonly code = 'kafka_unavailable';
  readonly retryable = true;
}
