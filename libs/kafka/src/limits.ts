/** The limits of the Kafka edge and their relations. */
import { assert } from '@millrace/write';
import type { LaneLimits } from './types.ts';

export const CONNECT_TIMEOUT_MS = 3_000;
/** Below Kafka's own `max.message.bytes` of 1 MiB a partition, with room for the record headers. */
export const BYTES_PER_REQUEST_MAX = 800_000;
export const LEADERS_REFRESH_MS = 30_000;
export const RETRY_BASE_MS = 50;
export const RETRY_MAX_MS = 1_000;
/** Of the first look for leaders, when a topic or its broker may be young. */
export const FIRST_LEADERS_RETRIES = 20;
/** Of a look for fresh leaders: enough to ask another broker where one is down. */
export const REFRESH_RETRIES = 2;
/** A request of fewer records is followed by a pause where the lanes gather: it costs the broker the same as one of many. */
export const GATHER_RECORDS_MIN = 8;
/** A record is given up after this many request timeouts: once answered by a dead broker, once by its successor. */
const GIVE_UP_REQUESTS = 2;
const BROKER_SHARE = 0.75;
const GATHER_MS_MAX = 100;

/**
 * How long the broker itself waits for the replicas: it answers for each slot before the request is given up, so that
 * a slot whose replicas are silent costs the slots beside it one late answer and no connection.
 */
export function brokerTimeoutMs(requestTimeoutMs: number): number {
  return Math.floor(requestTimeoutMs * BROKER_SHARE);
}

/** When a record that still waits or is tried again is given up. */
export function giveUpMs(limits: LaneLimits): number {
  return GIVE_UP_REQUESTS * limits.requestTimeoutMs;
}

export function assertLaneLimits(limits: LaneLimits): void {
  assert(limits.recordsPerRequestMax >= 1, 'a request carries at least one record');
  assert(limits.queuedRecordsMax >= limits.recordsPerRequestMax, 'the queue holds at least one full request');
  assert(limits.queuedBytesMax >= (limits.bytesPerRequestMax ?? BYTES_PER_REQUEST_MAX), 'and its bytes');
  assert(limits.requestTimeoutMs >= 100, 'a broker gets time to answer');
  assert((limits.gatherMs ?? 0) <= GATHER_MS_MAX, 'a lane gathers for moments');
}
