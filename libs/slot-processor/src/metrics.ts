/** What the slot processor tells: counter, labels and log line of an event in one place. */
import type { PgError } from '@millrace/postgres';
import { Counter, Gauge, Histogram, LATENCY_BUCKETS_SECONDS, type Log, type Registry } from '@millrace/runtime';
import type { Offset, ShardId, Slot, Stream } from '@millrace/write';
import type { SlotResult } from './admit.ts';
import type { Evicted } from './evict.sql.ts';
import { TurnTooLarge } from './fold.ts';
import type { TurnResult } from './turn.ts';

const OUTCOMES = ['applied', 'refused'] as const;

export interface ProcessorMetrics {
  turn(shard: ShardId, result: TurnResult, tookMs: number): void;
  turnFailed(shard: ShardId, error: PgError, delayMs: number): void;
  evicted(shard: ShardId, session: Evicted): void;
  halved(shard: ShardId, records: number, why: PgError | TurnTooLarge): void;
  poisoned(shard: ShardId, record: { readonly slot: Slot; readonly offset: Offset; readonly key: string }, reason: string): void;
  gap(shard: ShardId, slot: Slot, seen: { readonly expected: Offset; readonly first: Offset }): void;
  lost(shard: ShardId, slot: Slot, lost: { readonly position: Offset; readonly logStart: bigint; readonly logEnd: bigint }): void;
  refused(shard: ShardId, refusal: SlotResult & { readonly kind: 'elsewhere' | 'held' }): void;
  /** A slot that was elsewhere is applied again. */
  followed(shard: ShardId, slot: Slot, tookMs: number): void;
  relayed(shard: ShardId, events: number): void;
  relayFailed(shard: ShardId, error: unknown, delayMs: number): void;
  relayWaits(shard: ShardId, turns: number): void;
  /** What stands on the shard now. */
  standing(shard: ShardId, now: { readonly lagRecords: number; readonly lagSeconds: number; readonly stoppedSlots: number; readonly searchingSlots: number }): void;
  parkedKeys(shard: ShardId, keys: number): void;
  /** No slot of this process is the shard's any more: it has nothing to tell of it. */
  left(shard: ShardId): void;
  lane(shard: ShardId, lane: { readonly records: number; readonly up: boolean }): void;
}

export function createProcessorMetrics({ stream, log, registry }: { stream: Stream; log: Log; registry: Registry }): ProcessorMetrics {
  const registers = [registry];
  const labelNames = ['stream', 'shard'] as const;
  const records = new Counter({ name: 'millrace_records_total', help: 'Records that a shard took, by type and outcome.', labelNames: [...labelNames, 'type', 'outcome'], registers });
  const duplicates = new Counter({ name: 'millrace_duplicates_total', help: 'Records that were applied before, under the same digest and body.', labelNames, registers });
  const parked = new Counter({ name: 'millrace_parked_total', help: 'Records parked with their key.', labelNames, registers });
  const parkedKeys = new Gauge({ name: 'millrace_parked_keys', help: 'Keys that wait for an operator.', labelNames, registers });
  const turnRecords = new Histogram({ name: 'millrace_turn_records', help: 'Records in one transaction.', labelNames, buckets: [1, 4, 16, 64, 256, 1024, 2048, 4096], registers });
  const turnSeconds = new Histogram({ name: 'millrace_turn_seconds', help: 'From the first lock to the commit.', labelNames, buckets: LATENCY_BUCKETS_SECONDS, registers });
  const failures = new Counter({ name: 'millrace_turn_failures_total', help: 'Turns that were rolled back or whose commit is unknown, by kind.', labelNames: [...labelNames, 'kind'], registers });
  const evictions = new Counter({ name: 'millrace_evictions_total', help: 'Stalled sessions ended because they held position rows.', labelNames, registers });
  const gaps = new Counter({ name: 'millrace_gaps_total', help: 'Batches that began behind the position; the slot was sought back.', labelNames, registers });
  const stoppedSlots = new Gauge({ name: 'millrace_slots_stopped', help: "Slots stopped because the log no longer holds what the shard needs next. Must be 0.", labelNames, registers });
  const followSeconds = new Histogram({ name: 'millrace_follow_seconds', help: 'From the refusal of a slot by one shard until another applies it.', labelNames, buckets: LATENCY_BUCKETS_SECONDS, registers });
  const searching = new Gauge({ name: 'millrace_slots_searching', help: 'Slots that no shard applies at the moment, by the shard that did last; before any did, by the one that the topology names.', labelNames, registers });
  const events = new Counter({ name: 'millrace_relayed_total', help: 'Events published from the journal.', labelNames, registers });
  const relayFailures = new Counter({ name: 'millrace_relay_failures_total', help: 'Publications that will be tried again.', labelNames, registers });
  const backlog = new Gauge({ name: 'millrace_relay_backlog_turns', help: 'Committed turns whose events are not in Kafka yet.', labelNames, registers });
  const lagRecords = new Gauge({ name: 'millrace_lag_records', help: 'Records in the log that are not applied.', labelNames, registers });
  const lagSeconds = new Gauge({ name: 'millrace_lag_seconds', help: 'Age of the oldest record that is not applied, or how long the shard lags as this process saw it. Alarm long before the retention of the topic.', labelNames, registers });
  const waiting = new Gauge({ name: 'millrace_lane_records', help: 'Records that wait in memory for the shard.', labelNames, registers });
  const up = new Gauge({ name: 'millrace_shard_up', help: '1 where the last turn reached the shard, 0 where its slots are paused.', labelNames, registers });

  return {
    turn(shard, result, tookMs) {
      const labels = { stream, shard };
      for (const [type, count] of countByType(result)) {
        for (const outcome of OUTCOMES) if (count[outcome] > 0) records.inc({ ...labels, type, outcome }, count[outcome]);
      }
      if (result.duplicates > 0) duplicates.inc(labels, result.duplicates);
      if (result.parked > 0) parked.inc(labels, result.parked);
      turnRecords.observe(labels, result.records);
      turnSeconds.observe(labels, tookMs / 1000);
      log.debug({ shard, records: result.records, duplicates: result.duplicates, tookMs }, 'turn committed');
    },
    turnFailed(shard, error, delayMs) {
      failures.inc({ stream, shard, kind: error.kind });
      log.warn({ shard, kind: error.kind, sqlState: error.sqlState, reason: error.message, delayMs }, 'turn failed; its slots pause and it is tried again');
    },
    evicted(shard, session) {
      evictions.inc({ stream, shard });
      log.warn({ shard, backend: session.pid, application: session.application, ended: session.ended }, 'a stalled session held the positions of this shard; it was ended, its turn is rolled back');
    },
    halved(shard, count, why) {
      if (why instanceof TurnTooLarge) log.info({ shard, records: count, reason: why.message }, 'a turn sends too much; its halves are turns of their own');
      else log.warn({ shard, records: count, reason: why.message }, 'the shard refused a turn as data; halving it to find the record');
    },
    poisoned(shard, { slot, offset, key }, reason) {
      log.error({ shard, stream, slot, offset: String(offset), key, reason }, 'record cannot apply: its key is parked; see `millrace parked list`');
    },
    gap(shard, slot, { expected, first }) {
      gaps.inc({ stream, shard });
      log.info({ shard, slot, expected: String(expected), first: String(first) }, 'batch begins behind the position; seeking back');
    },
    lost(shard, slot, { position, logStart, logEnd }) {
      log.error(
        { shard, stream, slot, position: String(position), logStart: String(logStart), logEnd: String(logEnd) },
        'the log does not hold the next record of this slot: the slot is stopped; restore the topic from a mirror, or the shard from a backup',
      );
    },
    refused(shard, refusal) {
      if (refusal.kind === 'held') log.debug({ shard, slot: refusal.slot, forMs: refusal.forMs }, 'the mover holds the slot; it waits');
      else log.info({ shard, slot: refusal.slot, movedTo: refusal.movedTo }, 'the slot is not on this shard; following it');
    },
    followed(shard, slot, tookMs) {
      followSeconds.observe({ stream, shard }, tookMs / 1000);
      log.info({ shard, slot, tookMs: Math.round(tookMs) }, 'the slot is applied on this shard');
    },
    relayed: (shard, count) => events.inc({ stream, shard }, count),
    relayFailed(shard, error, delayMs) {
      relayFailures.inc({ stream, shard });
      log.warn({ shard, reason: String(error), delayMs }, 'events are not published yet; trying again');
    },
    relayWaits: (shard, turns) => backlog.set({ stream, shard }, turns),
    standing(shard, now) {
      lagRecords.set({ stream, shard }, now.lagRecords);
      lagSeconds.set({ stream, shard }, now.lagSeconds);
      stoppedSlots.set({ stream, shard }, now.stoppedSlots);
      searching.set({ stream, shard }, now.searchingSlots);
    },
    parkedKeys: (shard, keys) => parkedKeys.set({ stream, shard }, keys),
    left(shard) {
      for (const gauge of [lagRecords, lagSeconds, stoppedSlots, searching, parkedKeys]) gauge.remove({ stream, shard });
    },
    lane(shard, lane) {
      waiting.set({ stream, shard }, lane.records);
      up.set({ stream, shard }, lane.up ? 1 : 0);
    },
  };
}

/** How many rows of each type, by outcome. */
function countByType({ journal }: TurnResult): ReadonlyMap<string, { applied: number; refused: number }> {
  const counts = new Map<string, { applied: number; refused: number }>();
  for (const { type, outcome } of journal) {
    let count = counts.get(type);
    if (!count) counts.set(type, (count = { applied: 0, refused: 0 }));
    count[outcome] += 1;
  }
  return counts;
}
