/** The limits of a mover, with their relations asserted. */
import { assert } from '@millrace/write';

/** Rows of a chunk are as many as fill about so many bytes, between two bounds: a chunk is one transaction on the target. */
export const CHUNK_BYTES = 8 * 1024 * 1024;
export const CHUNK_ROWS_MIN = 500;
export const CHUNK_ROWS_MAX = 50_000;
/** Before the first chunk has told how long a row is, and what it costs. */
export const CHUNK_ROWS_FIRST = 500;
/** A chunk takes about so long where no shard of the move applies writes, however many rows fill `CHUNK_BYTES`. */
export const CHUNK_MS = 2_000;
/** Journal rows of one transaction of a round, adapted so that it takes about `DELTA_MS`, and its noted keys, which are held in memory. */
export const DELTA_JOURNAL_ROWS_FIRST = 1_000;
export const DELTA_JOURNAL_ROWS_MIN = 250;
export const DELTA_JOURNAL_ROWS_MAX = 20_000;
export const DELTA_MS = 500;
/** How often a long round looks whether the slot outruns it. */
export const OUTRUN_LOOK_MS = 1_000;
export const DELTA_KEYS_MAX = 5_000;
/** Rows of a range that both sides compare at once, adapted so that the comparison takes about `CHECK_RANGE_MS`. */
export const CHECK_ROWS_FIRST = 5_000;
export const CHECK_ROWS_MIN = 2_000;
export const CHECK_ROWS_MAX = 200_000;
export const CHECK_RANGE_MS = 400;
/** Records that the source may have applied since the last round for a comparison to leave out what they changed, without another round. */
export const CHECK_RECORDS_BEHIND_MAX = 500;
/** Keys that a comparison may leave out, of one table. */
export const CHECK_KEYS_MAX = 20_000;
/** A round between two ranges that takes longer, and no less than the one before, is outrun by the writes. */
export const CHECK_ROUND_MS_MAX = 2_000;
/** Tables that are compared whole inside the fence have so many rows together at most. */
export const FENCE_CHECK_ROWS = 5_000;
/** Rows of a range of a comparison on demand. */
export const VERIFY_ROWS = 20_000;
/** Rows whose keys and hashes a search for differences reads at once. */
export const DIFFERENCES_ROWS_MAX = 2_000;
/** Differing keys that a report names, per table. */
export const DIFFERENCES_MAX = 20;

/** The share of the stall budget that the last round may have taken for the fence to follow. */
export const FENCE_SHARE = 0.4;
/** Rounds that a decision looks back at. */
export const ROUNDS_KEPT = 8;
/** A round is smaller than the one before where it took less than this share of its time. */
export const SHRINK_SHARE = 0.8;

/** How long a held slot is not applied, while holds can still be shorter than the stall budget. */
export const HOLD_SHARE = 0.6;
/** The longest hold: a writer looks again after a second, whatever the row says. */
export const HOLD_MS_MAX = 1_000;
/** Between two holds at least. */
export const HOLD_GAP_MS_MIN = 10;
export const HOLD_LEVEL_MAX = 7;

/** Rows of one transaction that purges, adapted so that it takes about `PURGE_BATCH_MS` where the shard applies no writes. */
export const PURGE_ROWS_FIRST = 500;
export const PURGE_ROWS_MIN = 250;
export const PURGE_ROWS_MAX = 5_000;
export const PURGE_BATCH_MS = 200;

/** A mover waits so long for a lock before it ends the sessions that hold it and sleep. */
export const STALLED_MS = 5_000;
export const LOCK_TIMEOUT_MS = 15_000;
/** A chunk's statements, which a slow other side may hold up. */
export const CHUNK_TIMEOUT_MS = 60_000;
/** A mover that sleeps while it holds positions holds up every slot of its shard: the server ends such a transaction. */
export const HOLDING_IDLE_MS = 2_000;
/** Between two attempts of a mover while a shard does not answer, with full jitter: a slot behind its fence waits no longer for the next. */
export const RETRY = { baseMs: 50, maxMs: 1_000 } as const;
/** A mover whose attempts have failed for so long gives its place to another move; not behind a fence. */
export const GIVE_WAY_MS = 5_000;
/** Failures that lie further apart have nothing to do with each other. */
export const FAILURES_APART_MS = 120_000;
export const REPORT_INTERVAL_MS = 500;
/** Connections that one move uses at once on a shard. */
export const CONNECTIONS_PER_MOVE = 3;

/** The throttle. Bytes in a second, and how the rate follows the shards' latency. */
export const PACE_MIN_BYTES_PER_SECOND = 1024 * 1024;
/** A shard is slow when a probe takes so many times its usual, and at least so long. */
export const PACE_SLOW_FACTOR = 4;
export const PACE_SLOW_MS_MIN = 20;
/** What it does between two rests takes about so long: acks and turns wait no longer for the processors. */
export const BUSY_PIECE_MS = 10;
/** For so long behind its last progress a shard counts as one that applies writes. */
export const BUSY_MS = 2_000;
/** And for so long when it is looked at for the first time: from one look nobody can tell. */
export const FIRST_LOOK_MS = 300;
/** A rest lasts no longer, whatever a piece has waited for: by then somebody may want the move to pause. */
export const REST_MS_MAX = 3_000;
/** Over so long at least it is judged whether most of what a source applies is of the slot that moves, */
export const OWN_LOOK_MS = 300;
/** and from so many records of the slot on. */
export const OWN_RECORDS_MIN = 100n;
/** How often the rate changes at most. */
export const PACE_STEP_MS = 250;
/** Part of the highest rate that a step adds; a slow shard halves it. */
export const PACE_RISE = 0.05;

/** By primary key whatever the statistics say: they are always stale where a slot moves in or out. */
export const BY_INDEX_ONLY = {
  enable_seqscan: 'off',
  enable_bitmapscan: 'off',
  jit: 'off',
  max_parallel_workers_per_gather: '0',
  bytea_output: 'hex',
} as const;

assert(STALLED_MS < LOCK_TIMEOUT_MS, 'stalled sessions are ended before the wait for their locks is');
assert(CHUNK_TIMEOUT_MS < FAILURES_APART_MS, 'two attempts that each last as long as a statement may are of one trouble');
assert(LOCK_TIMEOUT_MS < CHUNK_TIMEOUT_MS, 'waiting for a lock ends before the statement does');
assert(CHUNK_ROWS_MIN <= CHUNK_ROWS_FIRST && CHUNK_ROWS_FIRST <= CHUNK_ROWS_MAX, 'the first chunk is within the bounds');
assert(CHECK_ROWS_MIN <= CHECK_ROWS_FIRST && PURGE_ROWS_MIN <= PURGE_ROWS_FIRST, 'so are the first range and the first purge');
assert(FENCE_SHARE + HOLD_SHARE <= 1, 'a hold and a last delta fit the stall budget');
