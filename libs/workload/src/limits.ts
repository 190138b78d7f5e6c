/** The limits of the workload room. */
import { assert } from '@millrace/write';

/** Work that is read from the source and not yet answered: bounds the driver's memory. */
export const WINDOW_MAX = 8_192;
/** The source is read again once this much of the window is free, so that reading comes in small steps. */
export const REFILL_MIN = 256;
export const CONNECTIONS_MAX = 1_024;

export const BULK_LINES_DEFAULT = 200;
export const BULK_LINES_MAX = 5_000;
/** Fewer ready writes than this go as single POSTs, where there are connections for them. */
export const BULK_LINES_MIN = 16;

/** Outstanding writes of one key from which on they are kept for bulk bodies, which take a run of them at once. */
export const RUN_MIN = 4;

export const CONNECT_TIMEOUT_MS = 5_000;
/** Longer than the gateway's own waits: past it the fate of a write is unknown, and it is sent again. */
export const ANSWER_TIMEOUT_MS = 30_000;
export const BACKOFF_BASE_MS = 50;
export const BACKOFF_MAX_MS = 5_000;
/** A `Retry-After` is obeyed up to here. */
export const RETRY_AFTER_MAX_MS = 30_000;
/** A run without a single answer that settles a write for this long has stalled. */
export const STALL_DEFAULT_MS = 180_000;
export const PROGRESS_EVERY_MS = 500;

/** Those that ask for the ends of orders that writes wait for, each on a connection of its own. */
export const GATEKEEPERS = 4;
/** Between two questions of a gatekeeper where the order is open still. */
export const GATE_PAUSE_MS = 20;

/** Lines of an order; longer invoices are split into several orders. */
export const ORDER_LINES_MAX = 1_000;
export const LINE_QUANTITY_MAX = 1_000_000;
/** Minor units of one line, so that an order of the longest kind fits a bigint. */
export const LINE_MINOR_UNITS_MAX = 9_000_000_000_000_000n;
/** Characters of one CSV record: guards against an open quote. */
export const CSV_RECORD_CHARS_MAX = 64 * 1024;
/** Line numbers kept as examples of each reason. */
export const EXAMPLES_MAX = 5;

assert(WINDOW_MAX >= BULK_LINES_MAX + REFILL_MIN, 'the window holds a bulk body and its refill');
assert(LINE_MINOR_UNITS_MAX * BigInt(ORDER_LINES_MAX) < 2n ** 63n, 'the total of an order fits a bigint');
