/** The limits of a saga-orchestrator. */
import { DRAIN } from '@millrace/slot-processor';
import { assert } from '@millrace/write';

/**
 * Records in one turn. The body of an order of 1,000 lines is about 95 kB as JSON, and a turn has it as the text that
 * comes, as objects, and as the text that goes: 500 of them took 180 MB of heap and 300 MB in all, where 2,000 took
 * 1.1 GB. A pod has 512 MB of heap and 768 MB in all, so two shards may meet the worst at once.
 */
export const TURN_RECORDS_MAX = 500;

/** Between two looks for timers on a shard. A look that finds a full page goes on at once. */
export const LOOK_EVERY_MS = 500;
export const LOOK_ROWS_MAX = 1_000;
/** A timer is fired so long behind its time: where the clocks here and at the brokers are no further apart, no shot is early. */
export const CLOCKS_APART_MS = 500;
/** Timers of a shard that are fired and still stand there; behind them no other is fired until some are gone. */
export const FIRED_MAX = 20_000;
/** A timer that still stands is fired again after this, each time later: its key may be parked, or the shot was early. */
export const FIRE_AGAIN = { baseMs: 15_000, maxMs: 600_000 } as const;
/** Behind a look, or a shot, that failed. */
export const TIMER_RETRY = { baseMs: 1_000, maxMs: 15_000 } as const;

/** Between two counts of what stands on a shard; behind a slow one as many times longer as `COUNT_SHARE`. */
export const COUNT_EVERY_MS = 5_000;
export const COUNT_SHARE = 20;
/** Sagas past their pivot, or being undone, whose times are kept to tell how long that takes. */
export const STAGES_MAX = 50_000;

/** Of the admin API alone, so that no question of an operator keeps a turn waiting; it only asks. */
export const ASKING_POOL = { settings: { default_transaction_read_only: 'on' }, poolMax: 2, statementTimeoutMs: 5_000, lockTimeoutMs: 1_000, idleInTransactionTimeoutMs: 5_000, connectTimeoutMs: 2_000 } as const;
/** A shard that has not answered by then is named as silent. */
export const ANSWER_MAX_MS = 3_000;
export const LIST_MAX = 500;
/** Participants of one saga that a list names, and looks after. */
export const NAMED_MAX = 5;
/** How long a retry or a cancel waits for what becomes of it. */
export const OUTCOME_WAIT_MS = 5_000;
export const OUTCOME_LOOK_MS = 100;

/** Of a drain: timers stop at once, whatever they wait for; operators' requests are cut off; then the pool of the admin API is closed. */
export const TIMERS_STOP_MS = 500;
export const ADMIN_CLOSE_MS = 5_500;
export const ASKING_CLOSE_MS = 500;

assert(TIMERS_STOP_MS + ADMIN_CLOSE_MS + ASKING_CLOSE_MS <= DRAIN.serviceMs, 'the stream has its time to drain');
assert(LOOK_ROWS_MAX <= FIRED_MAX, 'what one look finds can be remembered');
assert(FIRE_AGAIN.baseMs > 10 * LOOK_EVERY_MS, 'a timer on its way through the log is not fired again');
assert(CLOCKS_APART_MS < FIRE_AGAIN.baseMs, 'clocks that are a little apart cost less than a shot that is early');
