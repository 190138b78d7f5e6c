/**
 * A lane is a shard: one turn at a time takes everything that waits for it, while the next gathers (group commit).
 *
 * A turn whose records send too much is stored by halves: that is nobody's fault, and parks nobody.
 *
 * W5 an unknown commit is run again: the turn reads the position and learns what became of it.
 * W8 infrastructure errors pause the shard's slots and are retried for ever; only data errors park, and they park
 *    the key of the one record that halving finds.
 */
import { PgError, type Database } from '@millrace/postgres';
import { backoffMs, sleep, type Breaker } from '@millrace/runtime';
import type { Offset, ShardId, Slot } from '@millrace/write';
import type { SlotResult } from './admit.ts';
import { evictStalled, type Evicted } from './evict.sql.ts';
import { TurnTooLarge, type JournalRow } from './fold.ts';
import { GATHER_MS, GATHER_RECORDS_MIN, REASON_LENGTH_MAX, RELAY_SAVE_INTERVAL_MS, RETRY, STALLED_TURN_MS } from './limits.ts';
import type { ProcessorMetrics } from './metrics.ts';
import type { Slice, StreamModel } from './model.ts';
import { createSliceQueue } from './queue.ts';
import type { Relay } from './relay.ts';
import { countRecords, halve, probeOf, sliceOf } from './slices.ts';
import { onlyRecord, runTurn, type TurnResult } from './turn.ts';

/** SQLSTATE of a lock that was not to be had in time. */
const LOCK_NOT_AVAILABLE = '55P03';

export interface LaneInput {
  readonly shard: ShardId;
  readonly database: Database;
  readonly model: StreamModel;
  /** S. */
  readonly slots: number;
  readonly relay: Relay;
  readonly breaker: Breaker;
  readonly metrics: ProcessorMetrics;
  readonly signal: AbortSignal;
  readonly events: LaneEvents;
  readonly onCommitted?: OnCommitted | undefined;
}

/** Hears what a turn has committed, in order; it must not throw. */
export type OnCommitted = (shard: ShardId, rows: readonly JournalRow[]) => void;

export type Refusal = SlotResult & { readonly kind: 'elsewhere' | 'held' };

export interface LaneEvents {
  /** The slot's position is this; records before it are applied, the next to bring is the one at it. */
  onPosition(slot: Slot, position: Offset): void;
  /** Every record of the slot below `next` is applied. */
  onApplied(slot: Slot, next: Offset): void;
  /** The shard does not apply the slot, or not now. `left` are its records of the turn and those that waited, in order; some may be applied already. */
  onRefused(slot: Slot, refusal: Refusal, left: readonly Slice[]): void;
  /** The flow towards the lane should stop or may go on. */
  onFlow(flow: 'pause' | 'resume'): void;
  /** A bug: the process should end and start again from the rows. */
  onBug(error: unknown): void;
}

export interface Lane {
  readonly shard: ShardId;
  /** Takes consecutive records of a slot. Never refuses: `onFlow` tells when to stop. */
  offer(slice: Slice): void;
  /** Asks for the slot's position, and takes over its unpublished events. */
  probe(slot: Slot): void;
  /** Asks whether the slot is still the shard's, behind all that was offered of it, up to `expected`. */
  ask(slot: Slot, expected: Offset): void;
  /** Forgets what waits of the slot. */
  drop(slot: Slot): void;
  /** Whether records should flow towards it now. */
  flow(): 'pause' | 'resume';
  status(): LaneStatus;
  /** Resolves when the turn under way is over; what waits is left to the next owner. */
  stopped(): Promise<void>;
}

export interface LaneStatus {
  readonly records: number;
  /** True while the shard answers. */
  readonly up: boolean;
  readonly oldestAtMs: number | undefined;
  /** Since when the turn under way has made no progress; undefined when idle. */
  readonly busySinceMs: number | undefined;
}

export function createLane(input: LaneInput): Lane {
  const { shard, relay, breaker, metrics, signal, events } = input;
  const queue = createSliceQueue(input.model.turnRecordsMax);
  let flow: 'pause' | 'resume' = 'resume';
  let up = true;
  let busySinceMs: number | undefined;
  /** Log-append time of the turn under way. */
  let turnAtMs: number | undefined;
  let wake: (() => void) | undefined;

  async function run(): Promise<void> {
    while (!signal.aborted) {
      const slices = queue.take();
      regulate();
      if (slices.length === 0) {
        await idle();
        continue;
      }
      await applyAll(slices);
      await gather();
    }
  }

  /**
   * A pause behind a turn while little waits: a commit costs the same for one record as for a hundred, and what it
   * takes from the processors is taken from the acks. The first write after a quiet time does not wait.
   */
  async function gather(): Promise<void> {
    if (queue.records() < GATHER_RECORDS_MIN) await sleep(GATHER_MS, signal).catch(() => undefined);
  }

  /** Waits for work; relay positions that no turn took along are saved meanwhile. */
  async function idle(): Promise<void> {
    busySinceMs = undefined;
    const waited = new Promise<void>((resolve) => (wake = resolve));
    const timer = setTimeout(() => void relay.save().catch(() => undefined).then(() => wake?.()), RELAY_SAVE_INTERVAL_MS);
    await waited;
    clearTimeout(timer);
  }

  async function applyAll(slices: readonly Slice[]): Promise<void> {
    turnAtMs = slices.find((slice) => slice.records.length > 0)?.records[0]?.atMs;
    const done = await applyOrHalve(slices);
    turnAtMs = undefined;
    report(done, slices);
  }

  /** Applies the slices, in as many turns as data errors and the size of turns make necessary. Empty where the drain came first. */
  async function applyOrHalve(slices: readonly Slice[]): Promise<readonly TurnResult[]> {
    // Each half holds what it sends until Kafka has it.
    await roomToSend();
    try {
      const result = await untilReached(() => runTurn({ ...input, slices, relayedOf: relay.relayedOf }));
      return result ? [result] : [];
    } catch (error) {
      if (!(error instanceof TurnTooLarge) && !isData(error)) throw error;
      breaker.succeeded();
      if (countRecords(slices) === 0) throw error;
      if (isData(error) && countRecords(slices) === 1) return parkOnly(slices, error);
      metrics.halved(shard, countRecords(slices), error);
      const [first, second] = halve(slices);
      return [...(await applyOrHalve(first)), ...(await applyOrHalve(second))];
    }
  }

  async function roomToSend(): Promise<void> {
    // Waiting for Kafka is not being stuck.
    busySinceMs = undefined;
    await relay.room();
    busySinceMs = Date.now();
  }

  async function parkOnly(slices: readonly Slice[], error: PgError): Promise<readonly TurnResult[]> {
    const record = onlyRecord(slices);
    const reason = `the shard refused it: ${error.sqlState ?? ''} ${error.message}`.slice(0, REASON_LENGTH_MAX);
    metrics.poisoned(shard, record, reason);
    const refused = { slot: record.slot, offset: record.offset, reason };
    const result = await untilReached(() => runTurn({ ...input, slices, relayedOf: relay.relayedOf, refused }));
    return result ? [result] : [];
  }

  /** The lane alone decides that a turn is tried again: as often as it takes. Undefined once the drain began. */
  async function untilReached(turn: () => Promise<TurnResult>): Promise<TurnResult | undefined> {
    for (let attempt = 1; !signal.aborted; attempt++) {
      if (breaker.admits()) {
        try {
          return reached(await turn(), Date.now());
        } catch (error) {
          if (!(error instanceof PgError) || !isWeather(error)) throw error;
          breaker.failed(error);
          down(error, attempt);
          if (error.sqlState === LOCK_NOT_AVAILABLE) await evict();
        }
      }
      await sleep(Math.max(backoffMs(attempt, RETRY), breaker.retryAfterMs()), signal).catch(() => undefined);
    }
    return undefined;
  }

  function reached(result: TurnResult, endedAtMs: number): TurnResult {
    breaker.succeeded();
    up = true;
    if (result.records > 0) metrics.turn(shard, result, endedAtMs - (busySinceMs ?? endedAtMs));
    busySinceMs = endedAtMs;
    regulate();
    relay.add(result);
    input.onCommitted?.(shard, result.journal);
    return result;
  }

  function down(error: PgError, attempt: number): void {
    up = false;
    metrics.turnFailed(shard, error, backoffMs(attempt, { ...RETRY, random: () => 1 }));
    regulate();
  }

  /** Whoever holds the position rows for so long and waits for its client is a process that sleeps. */
  async function evict(): Promise<void> {
    const evicted = await input.database.query<Evicted>(evictStalled(STALLED_TURN_MS)).catch(() => []);
    for (const session of evicted) metrics.evicted(shard, session);
  }

  /** Of a slot the results up to the first that does not apply it: those behind it, of a turn that was halved, follow from it. */
  function report(done: readonly TurnResult[], slices: readonly Slice[]): void {
    const over = new Set<Slot>();
    for (const { slots } of done) {
      for (const result of slots) {
        if (over.has(result.slot)) continue;
        if (result.kind !== 'applied') over.add(result.slot);
        reportSlot(result, slices);
      }
    }
  }

  function reportSlot(result: SlotResult, slices: readonly Slice[]): void {
    const { slot } = result;
    if (result.kind === 'applied') return events.onApplied(slot, result.next);
    const waiting = queue.drop(slot);
    if (result.kind === 'gap') return events.onPosition(slot, result.position);
    const left = [...slices.filter((slice) => slice.slot === slot), ...waiting].filter(({ records }) => records.length > 0);
    metrics.refused(shard, result);
    events.onRefused(slot, result, left);
  }

  /** A shard that is down or behind pauses its own slots and no other's. */
  function regulate(): void {
    const next = !up || queue.isHigh() ? 'pause' : flow === 'pause' && !queue.isLow() ? 'pause' : 'resume';
    metrics.lane(shard, { records: queue.records(), up });
    if (next === flow) return;
    flow = next;
    events.onFlow(flow);
  }

  function put(slice: Slice): void {
    queue.add(slice);
    regulate();
    wake?.();
  }

  signal.addEventListener('abort', () => wake?.(), { once: true });
  const running = run().catch((error: unknown) => events.onBug(error));
  return {
    shard,
    offer: put,
    probe(slot) {
      queue.drop(slot);
      put(probeOf(slot));
    },
    ask: (slot, expected) => put(sliceOf({ slot, from: expected, to: expected }, [])),
    drop: (slot) => void queue.drop(slot),
    flow: () => flow,
    status: () => ({ records: queue.records(), up, oldestAtMs: turnAtMs ?? queue.oldestAtMs(), busySinceMs }),
    stopped: () => running,
  };
}

function isData(error: unknown): error is PgError {
  return error instanceof PgError && error.kind === 'data';
}

/** W5: an unknown commit is run again, because a turn reads first what became of the one before. */
function isWeather({ kind }: PgError): boolean {
  return kind === 'infrastructure' || kind === 'unknown-commit';
}
