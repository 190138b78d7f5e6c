/**
 * Every limit of the gateway, in one place, with what must hold between them.
 *
 * At a limit the gateway says so (413, 429, 503 with `Retry-After`) before memory grows.
 */
import { RECORD_BYTES_MAX } from '@millrace/wire';
import { assert, IDEMPOTENCY_KEY_PATTERN } from '@millrace/write';

const KiB = 1024;
const MiB = 1024 * KiB;

const values = {
  /** One JSON body. */
  bodyBytesMax: 1 * MiB,
  /** One line of NDJSON, without its line feed. */
  lineBytesMax: 256 * KiB,
  /** Arrays and objects within each other in one body or line. */
  nestingDepthMax: 32,
  /** Request line and headers together. */
  headerBytesMax: 16 * KiB,
  /** A query parameter or a path segment as it stands in the URL. */
  parameterCharsMax: 512,
  idempotencyKeyCharsMax: 255,
  /** Issues that one problem document lists. */
  issuesMax: 10,

  connectionsMax: 4_096,
  /** Single writes between their first byte and their answer. */
  inFlightRecordsMax: 10_000,
  /** The bodies of those. */
  inFlightBytesMax: 32 * MiB,

  /** Bulk requests at a time. */
  bulkStreamsMax: 64,
  /** Lines that one bulk request hands to the lanes at once. */
  bulkChunkLinesMax: 512,
  bulkChunkBytesMax: 256 * KiB,
  /** Chunks of one bulk request that wait for Kafka; then the request is not read on. */
  bulkChunksInFlightMax: 6,

  laneRecordsPerRequestMax: 1_000,
  laneQueuedRecordsMax: 50_000,
  laneQueuedBytesMax: 48 * MiB,
  /** Behind a produce request of few writes. */
  laneGatherMs: 3,

  /** Acknowledged writes that a retry finds again without Kafka. */
  recentWritesMax: 50_000,
  apiKeysMax: 10_000,

  /** Reads between their headers and their answer. */
  inFlightReadsMax: 2_000,
  /** Requests that wait for an outcome, a receipt or a slot on its way: each keeps its connection. */
  waitersMax: 3_000,
  waitMsMax: 30_000,
  /** How long `?after=` waits without `Prefer: wait`. */
  afterWaitMs: 5_000,
  /** How long a read follows a slot that moves. */
  followMoveMs: 2_000,
  watchIntervalMsMin: 2,
  watchIntervalMsMax: 50,
  /** Returns that one answer about an order shows, and their lines together: the last ones, and at least one. */
  returnsMax: 100,
  returnLinesMax: 2_000,
  /** Further ones are not counted. */
  returnsCountedMax: 1_000,
  /** Receipts that one status query asks a shard for. */
  statusBatchMax: 1_000,

  headersTimeoutMs: 10_000,
  /** A whole single body. */
  bodyTimeoutMs: 15_000,
  /** A bulk request in which no byte moves, in neither direction. */
  bulkIdleTimeoutMs: 30_000,
  keepAliveTimeoutMs: 65_000,
  connectionsCheckMs: 5_000,
  /** What is still read of a body that was refused, so that the client reads the answer. */
  lingerBytesMax: 8 * MiB,
  lingerMs: 2_000,

  /** One produce request; a record is given up after two of them. */
  produceTimeoutMs: 5_000,
  /** Records wait and none gets through: Kafka is down. */
  stallMs: 3_000,
  stallLookMs: 500,
  /** Results in ten seconds before the breaker judges: one produce request is one result. */
  breakerVolume: 2,
  breakerResetMs: 1_000,
  /** Load balancers see the readiness go before connections close. */
  readinessGraceMs: 500,
  drainTimeoutMs: 25_000,
};

export type Limits = { readonly [name in keyof typeof values]: number };

export const limits: Limits = Object.freeze(values);

/** @throws AssertionFailed where two limits contradict each other. */
export function assertLimits(l: Limits): void {
  assert(l.lineBytesMax <= l.bodyBytesMax, 'a line is not longer than a body');
  assert(l.lineBytesMax < RECORD_BYTES_MAX, 'a line fits a record');
  assert(l.bodyBytesMax <= l.inFlightBytesMax, 'one body fits what may be in flight');
  assert(l.inFlightRecordsMax < l.laneQueuedRecordsMax, 'single writes leave room in the lanes');
  assert(l.inFlightBytesMax < l.laneQueuedBytesMax, 'single bodies leave room in the lanes');
  assert(l.bulkChunkBytesMax >= l.lineBytesMax, 'a line fits a chunk');
  assert(l.bulkChunkLinesMax <= l.laneRecordsPerRequestMax, 'a chunk fits a produce request');
  assert(l.bulkChunkBytesMax < l.laneQueuedBytesMax, 'a chunk fits the lanes');
  assert(l.idempotencyKeyCharsMax <= l.headerBytesMax, 'an idempotency key fits the headers');
  assert(IDEMPOTENCY_KEY_PATTERN.test('k'.repeat(l.idempotencyKeyCharsMax)), 'the longest idempotency key is one');
  assert(!IDEMPOTENCY_KEY_PATTERN.test('k'.repeat(l.idempotencyKeyCharsMax + 1)), 'a longer one is none');
  assert(l.inFlightReadsMax < l.connectionsMax, 'reads leave connections to writes');
  assert(l.inFlightReadsMax <= l.waitersMax, 'every read may wait');
  assert(l.waitersMax < l.connectionsMax, 'waits leave connections to writes');
  assert(l.waitersMax < l.inFlightRecordsMax, 'waits leave room to writes that do not wait');
  assert(l.returnsMax < l.returnsCountedMax, 'what is left out is counted');
  assert(l.afterWaitMs <= l.waitMsMax && l.followMoveMs <= l.waitMsMax, 'no wait is longer than the longest');
  assert(l.watchIntervalMsMin <= l.watchIntervalMsMax, 'the watch slows down, not up');
  assert(l.stallMs < l.produceTimeoutMs, 'a stall is seen before a request is given up');
  assert(2 * l.produceTimeoutMs + l.readinessGraceMs < l.drainTimeoutMs, 'a produce ends before the drain does');
  assert(l.headersTimeoutMs <= l.bodyTimeoutMs, 'headers come before the body');
}
