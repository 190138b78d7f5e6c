/** What sagas tell: counter, labels and log line of an event in one place. */
import { OPEN_SAGA_STATES } from '@millrace/domain';
import { Counter, Gauge, Histogram, LATENCY_BUCKETS_SECONDS, type Log, type Registry } from '@millrace/runtime';
import type { OnCommitted } from '@millrace/slot-processor';
import type { ShardId } from '@millrace/write';
import { STAGES_MAX } from './limits.ts';
import { createStages } from './stages.ts';
import { lateMsOf } from './timers/timeout.ts';
import { meaningOf, type Meaning } from './transition.ts';

export interface SagaMetrics {
  readonly committed: OnCommitted;
  /** So many timers: their shots are in the log. */
  fired(shard: ShardId, timers: number): void;
  timersFailed(shard: ShardId, error: unknown, delayMs: number): void;
  /** What stands on the shard, of the slots that this process applies. */
  standing(shard: ShardId, now: Standing): void;
  notCounted(shard: ShardId, error: unknown): void;
  /** No slot of this process is the shard's any more. */
  left(shard: ShardId): void;
}

/** Instants in milliseconds since 1970. */
export interface Standing {
  /** By state; `sinceMs`: since when the one that is longest in it is. */
  readonly open: ReadonlyMap<string, { readonly sagas: number; readonly sinceMs: number }>;
  /** Of the oldest. */
  readonly startedMs: number | undefined;
  /** The first timer. */
  readonly dueMs: number | undefined;
}

/** From one turn of a stream to the longest deadline that is usual. */
const SAGA_BUCKETS_SECONDS = [...LATENCY_BUCKETS_SECONDS, 60, 300, 900, 3_600, 86_400, 604_800];
const ENDS: ReadonlySet<string> = new Set(['confirmed', 'rejected', 'cancelled']);

export function createSagaMetrics({ log, registry, now = Date.now }: { log: Log; registry: Registry; now?: () => number }): SagaMetrics {
  const registers = [registry];
  const started = new Counter({ name: 'millrace_sagas_started_total', help: 'Sagas that began, by kind.', labelNames: ['kind'], registers });
  const ended = new Counter({ name: 'millrace_sagas_ended_total', help: 'Sagas that ended, by kind and outcome.', labelNames: ['kind', 'outcome'], registers });
  const undone = new Counter({ name: 'millrace_saga_compensations_total', help: 'Sagas that began to give back what they held, by kind.', labelNames: ['kind'], registers });
  const retried = new Counter({ name: 'millrace_saga_retries_total', help: 'Sagas whose open steps an operator had sent again.', labelNames: ['kind'], registers });
  const refused = new Counter({ name: 'millrace_saga_refusals_total', help: 'Starts, cancels and retries that were refused, by type and code.', labelNames: ['type', 'code'], registers });
  const seconds = new Histogram({ name: 'millrace_saga_seconds', help: 'From the start of a saga to its end.', labelNames: ['kind', 'outcome'], buckets: SAGA_BUCKETS_SECONDS, registers });
  const stageSeconds = new Histogram({ name: 'millrace_saga_stage_seconds', help: 'How long a saga was in a state that it left.', labelNames: ['kind', 'state'], buckets: SAGA_BUCKETS_SECONDS, registers });
  const timeouts = new Counter({ name: 'millrace_saga_timeouts_total', help: 'Timers fired, those fired again included.', labelNames: ['shard'], registers });
  const early = new Counter({ name: 'millrace_saga_timeouts_early_total', help: 'Shots that the log finds early: who fired them has a clock that is ahead. The timers are fired again.', labelNames: ['shard'], registers });
  const late = new Histogram({ name: 'millrace_saga_timeout_late_seconds', help: 'From when a timer was due until its shot was in the log, by the clock of the log.', labelNames: ['shard'], buckets: SAGA_BUCKETS_SECONDS, registers });
  const failures = new Counter({ name: 'millrace_saga_timer_failures_total', help: 'Looks for timers that failed and are tried again.', labelNames: ['shard'], registers });
  const open = new Gauge({ name: 'millrace_sagas_open', help: 'Sagas that have not ended, by state.', labelNames: ['shard', 'state'], registers });
  const known = new Map<ShardId, Standing>();
  const ageSeconds = (sinceMs: number | undefined): number => (sinceMs === undefined ? 0 : Math.max(0, (now() - sinceMs) / 1000));
  new Gauge({
    name: 'millrace_saga_oldest_open_seconds',
    help: 'Age of the oldest saga that has not ended; 0 where all have. It grows while the shard cannot be asked, as do the two below.',
    labelNames: ['shard'],
    registers,
    collect() {
      this.reset();
      for (const [shard, { startedMs }] of known) this.set({ shard }, ageSeconds(startedMs));
    },
  });
  new Gauge({
    name: 'millrace_saga_longest_in_state_seconds',
    help: 'How long a saga that has not ended is in its state, of the one that is longest; 0 where none is.',
    labelNames: ['shard', 'state'],
    registers,
    collect() {
      this.reset();
      for (const [shard, standing] of known) for (const state of OPEN_SAGA_STATES) this.set({ shard, state }, ageSeconds(standing.open.get(state)?.sinceMs));
    },
  });
  new Gauge({
    name: 'millrace_saga_timer_overdue_seconds',
    help: 'How long a timer is due whose timeout is not applied, of the one that is longest; 0 where none is.',
    labelNames: ['shard'],
    registers,
    collect() {
      this.reset();
      for (const [shard, { dueMs }] of known) this.set({ shard }, ageSeconds(dueMs));
    },
  });
  const stageOf = createStages(STAGES_MAX);

  function moved(shard: ShardId, event: Meaning & { readonly is: 'moved' }): void {
    const { id, kind, state, reason, attempt, afterMs } = event;
    if (event.starts) started.inc({ kind });
    if (event.isRetry) retried.inc({ kind });
    else if (state === 'undoing') undone.inc({ kind });
    if (ENDS.has(state)) {
      ended.inc({ kind, outcome: state });
      seconds.observe({ kind, outcome: state }, afterMs / 1000);
    }
    const stage = stageOf(event);
    if (stage) stageSeconds.observe({ kind, state: stage.state }, stage.tookMs / 1000);
    log.info({ shard, saga: id, state, reason, attempt, afterMs }, event.isRetry ? 'saga is sent again' : `saga ${state}`);
  }

  function shot(shard: ShardId, lateMs: number): void {
    if (lateMs >= 0) return late.observe({ shard }, lateMs / 1000);
    early.inc({ shard });
    log.warn({ shard, earlyMs: -lateMs }, 'a timer was fired before its time: the clock of an orchestrator is ahead of the brokers; it is fired again');
  }

  return {
    committed(shard, rows) {
      for (const row of rows) {
        const lateMs = lateMsOf(row);
        if (lateMs !== undefined) shot(shard, lateMs);
        const meaning = meaningOf(row);
        if (meaning.is === 'moved') moved(shard, meaning);
        else if (meaning.is === 'refused') refused.inc({ type: meaning.type, code: meaning.code });
      }
    },
    fired: (shard, timers) => timeouts.inc({ shard }, timers),
    timersFailed(shard, error, delayMs) {
      failures.inc({ shard });
      log.warn({ shard, reason: String(error), delayMs }, 'timers of the shard wait; trying again');
    },
    standing(shard, standing) {
      for (const state of OPEN_SAGA_STATES) open.set({ shard, state }, standing.open.get(state)?.sagas ?? 0);
      known.set(shard, standing);
    },
    notCounted: (shard, error) => log.debug({ shard, reason: String(error) }, 'open sagas not counted'),
    left(shard) {
      for (const state of OPEN_SAGA_STATES) open.remove({ shard, state });
      known.delete(shard);
    },
  };
}
