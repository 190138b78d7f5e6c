/**
 * What the broker's answer for a slot means: https://kafka.apache.org/protocol#protocol_error_codes
 *
 *     stored     the records have offsets
 *     again      they are not stored, and may be once the leader is found
 *     unknown    they may be stored; sending again stores them again
 *     refused    they are not stored and never will be
 */
export type ProduceVerdict = 'stored' | 'again' | 'unknown' | 'refused';

const VERDICTS: ReadonlyMap<number, ProduceVerdict> = new Map([
  [0, 'stored'],
  [2, 'again'], // CORRUPT_MESSAGE: damaged on the way
  [3, 'again'], // UNKNOWN_TOPIC_OR_PARTITION: just created, or just moved
  [5, 'again'], // LEADER_NOT_AVAILABLE
  [6, 'again'], // NOT_LEADER_OR_FOLLOWER
  [7, 'unknown'], // REQUEST_TIMED_OUT: the leader has it, the replicas may not
  [8, 'again'], // BROKER_NOT_AVAILABLE
  [13, 'unknown'], // NETWORK_EXCEPTION
  [19, 'again'], // NOT_ENOUGH_REPLICAS
  [20, 'unknown'], // NOT_ENOUGH_REPLICAS_AFTER_APPEND
  [56, 'unknown'], // KAFKA_STORAGE_ERROR
  [74, 'again'], // FENCED_LEADER_EPOCH
  [75, 'again'], // UNKNOWN_LEADER_EPOCH
  [89, 'again'], // THROTTLING_QUOTA_EXCEEDED
  [10, 'refused'], // MESSAGE_TOO_LARGE
  [17, 'refused'], // INVALID_TOPIC_EXCEPTION
  [18, 'refused'], // RECORD_LIST_TOO_LARGE
  [29, 'refused'], // TOPIC_AUTHORIZATION_FAILED
  [31, 'refused'], // CLUSTER_AUTHORIZATION_FAILED
  [32, 'refused'], // INVALID_TIMESTAMP
  [87, 'refused'], // INVALID_RECORD
]);

/** An error that is not in the table is unknown: nothing may be concluded from it. */
export function verdictOf(errorCode: number): ProduceVerdict {
  return VERDICTS.get(errorCode) ?? 'unknown';
}
