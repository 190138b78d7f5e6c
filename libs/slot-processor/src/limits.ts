/** Every limit of the slot processor, with their relations asserted. */
import { assert } from '@millrace/write';

/** Records in one transaction. More gain little and hold locks longer. A stream whose rows are large has a limit of its own below it. */
export const TURN_RECORDS_MAX = 2_000;
/**
 * Messages that one transaction sends, unless it has one record alone: a message is about 300 bytes in the journal and
 * 1 kB in memory, so two turns that wait for Kafka and the one under way keep 150 MB at most.
 */
export const TURN_MESSAGES_MAX = 50_000;
/** New rows of one table from which a COPY pays for its round trips. */
export const COPY_ROWS_MIN = 200;
/** Bytes of keys and values in one transaction. */
export const TURN_BYTES_MAX = 8 * 1024 * 1024;
/** How long a lane gathers behind a turn while fewer records wait than GATHER_RECORDS_MIN. */
export const GATHER_MS = 20;
export const GATHER_RECORDS_MIN = 100;
/** Records that wait for a shard: above it the shard's slots are paused in Kafka's consumer. */
export const LANE_RECORDS_HIGH = 10_000;
/** Records that wait for a shard: below it the slots are resumed. */
export const LANE_RECORDS_LOW = 6_000;
/** The same in bytes. */
export const LANE_BYTES_HIGH = 16 * 1024 * 1024;
/** Of one fetch over all slots: what may come on top of a lane's limit before its slots are paused. */
export const FETCH_BYTES_MAX = 1024 * 1024;
/** Committed turns whose events are not yet in Kafka, per shard: at the limit the next turn waits. */
export const RELAY_TURNS_MAX = 2;
/** Journal rows that one step of catching up reads and publishes: each may hold the messages to 1,000 lines of an order, and to its account. */
export const RELAY_CATCH_UP_ROWS_MAX = 100;
/** Parked records that one release tries in its transaction, unless they send TURN_MESSAGES_MAX before; the rest waits for the next release. */
export const RELEASE_RECORDS_MAX = 1_000;
/** How often the same gap in the log must be seen, behind a log start that still reaches back, to be a hole. */
export const GAP_SIGHTINGS_MIN = 3;
/** Characters of a reason that are kept with a parked record. */
export const REASON_LENGTH_MAX = 500;
/** Infrastructure errors: full jitter up to this. */
export const RETRY = { baseMs: 50, maxMs: 5_000 } as const;
/** Looking for a slot's shard: the wait before the next look is the time searched so far by `share`, within the limits. */
export const LOOK = { minMs: 5, maxMs: 250, share: 8 } as const;
/** Signposts followed one after the other without a wait. */
export const SIGNPOSTS_MAX = 4;
/** So long a search waits where the slot should arrive, before it looks where the topology says. */
export const WAIT_HERE_MS = 1_000;
/** After so long without a shard that applies a slot, an operator is told. */
export const SEARCH_WARN_MS = 10_000;
/** Records of slots without a shard that stay in memory, over all slots. */
export const KEPT_RECORDS_MAX = 20_000;
/** The same in bytes of keys and values. */
export const KEPT_BYTES_MAX = 16 * 1024 * 1024;
/** A transaction that has lasted so long and waits for its client belongs to a process that sleeps. */
export const STALLED_TURN_MS = 5_000;
/** How long relay positions may stay unsaved while nothing else is written. */
export const RELAY_SAVE_INTERVAL_MS = 1_000;

assert(LANE_RECORDS_LOW < LANE_RECORDS_HIGH, 'a lane resumes below where it pauses');
assert(TURN_RECORDS_MAX <= LANE_RECORDS_LOW, 'a turn finds its fill before the slots resume');
assert(TURN_BYTES_MAX <= LANE_BYTES_HIGH, 'a full turn fits the lane');
assert(LANE_RECORDS_HIGH <= KEPT_RECORDS_MAX && LANE_BYTES_HIGH <= KEPT_BYTES_MAX, 'what one lane gives back at its limit can be kept; what is more, by its last fetch or by other lanes, is fetched again');
assert(LOOK.minMs <= LOOK.maxMs && LOOK.share >= 1, 'a look comes at the latest when the search has lasted twice as long');
