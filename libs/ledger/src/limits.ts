/** What one verification may hold and how long it may wait. */

/** Differences that a verdict shows in full; all are counted. */
export const DIFFERENCES_SHOWN_MAX = 20;

/** Open sagas that a verdict names; all are counted. */
export const OPEN_SAGAS_SHOWN_MAX = 20;

/**
 * Records that one pass over the log may fold, unless one slot alone has more. A record costs about a kilobyte while
 * its slot is open (expected journal row, digest, payment), so a pass stays far below a gigabyte.
 */
export const RECORDS_PER_PASS_MAX = 400_000;

/** Rows that one query brings, so that no statement runs for long. */
export const ROWS_PER_QUERY_MAX = 10_000;

/** How often positions are asked for while the shards catch up. */
export const POSITION_POLL_MS = 200;

/** How long a slot that no shard holds is looked at again: between fence and activation lie moments. */
export const FENCE_PATIENCE_MS = 15_000;
