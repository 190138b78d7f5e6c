import { describe, expect, test } from '@jest/globals';
import { createLog, createRegistry } from '@millrace/runtime';
import type { JournalRow } from '@millrace/slot-processor';
import { must, type BodyHash, type Digest, type Offset, type ShardId, type Slot } from '@millrace/write';
import { createSagaMetrics } from './metrics.ts';
import { createStages } from './stages.ts';
import { timeoutRecord } from './timers/timeout.ts';
import { meaningOf } from './transition.ts';

const shard = 'a' as ShardId;

function row(type: string, detail: JournalRow['detail'], outcome: JournalRow['outcome'] = 'applied'): JournalRow {
  const { slot, key, value } = timeoutRecord({ slot: 1 as Slot, key: 'demo/o-1', saga: 'order', due_ms: 0n }, 0);
  const record = { slot: slot as Slot, offset: 0n as Offset, key: String(key), value: Buffer.from(value), atMs: 0 };
  return { record, bodyHash: 0n as BodyHash, digest: '' as Digest, type, outcome, detail, messages: null };
}
const moved = (type: string, state: string, afterMs: number, more = {}) => row(type, { saga: 'order', state, after_ms: String(afterMs), ...more });

function metrics() {
  const registry = createRegistry();
  const told = createSagaMetrics({ log: createLog({ name: 'test', level: 'silent' }), registry, now: () => 10_000 });
  const valueOf = async (name: string): Promise<unknown> => {
    const { values } = await must(registry.getSingleMetric(name), name).get();
    return Object.fromEntries(values.map(({ labels, value }) => [Object.values(labels).join(' '), value]));
  };
  const sumOf = async (name: string): Promise<unknown> => {
    const { values } = await must(registry.getSingleMetric(name), name).get();
    return values.filter((value) => 'metricName' in value && String(value.metricName).endsWith('_sum')).map(({ labels, value }) => [...Object.values(labels), value].join(' '));
  };
  return { told, valueOf, sumOf };
}

describe('what committed rows tell', () => {
  test('a saga that is confirmed: started, ended, its time and that of each state', async () => {
    const { told, valueOf, sumOf } = metrics();
    told.committed(shard, [moved('order.start', 'reserving', 0), row('saga.reply', null), moved('saga.reply', 'confirming', 2_000), moved('saga.reply', 'confirmed', 5_000)]);
    expect(await valueOf('millrace_sagas_started_total')).toEqual({ order: 1 });
    expect(await valueOf('millrace_sagas_ended_total')).toEqual({ 'order confirmed': 1 });
    expect(await valueOf('millrace_saga_compensations_total')).toEqual({});
    expect(await sumOf('millrace_saga_seconds')).toEqual(['order confirmed 5']);
    expect(await sumOf('millrace_saga_stage_seconds')).toEqual(['order reserving 2', 'order confirming 3']);
  });

  test('a saga that is undone counts as one compensation, however often it is sent again', async () => {
    const { told, valueOf, sumOf } = metrics();
    told.committed(shard, [
      moved('order.start', 'reserving', 0),
      moved('saga.timeout', 'undoing', 3_000, { reason: 'deadline_passed' }),
      moved('saga.retry', 'undoing', 4_000, { reason: 'deadline_passed' }),
      moved('saga.reply', 'rejected', 7_000, { reason: 'deadline_passed' }),
    ]);
    expect(await valueOf('millrace_saga_compensations_total')).toEqual({ order: 1 });
    expect(await valueOf('millrace_saga_retries_total')).toEqual({ order: 1 });
    expect(await sumOf('millrace_saga_stage_seconds')).toEqual(['order reserving 3', 'order undoing 4']);
  });

  test('what is refused is counted by type and code, and starts nothing', async () => {
    const { told, valueOf } = metrics();
    told.committed(shard, [row('saga.cancel', { code: 'too_late' }, 'refused'), row('order.start', { code: 'order_exists' }, 'refused')]);
    expect(await valueOf('millrace_saga_refusals_total')).toEqual({ 'saga.cancel too_late': 1, 'order.start order_exists': 1 });
    expect(await valueOf('millrace_sagas_started_total')).toEqual({});
  });

  test('how late a shot is, or that it is early, is told by the log', async () => {
    const { told, valueOf, sumOf } = metrics();
    const shotAt = (atMs: number, outcome: JournalRow['outcome'] = 'applied') => {
      const event = row('saga.timeout', null, outcome);
      return { ...event, record: { ...event.record, atMs } };
    };
    told.fired(shard, 4);
    told.committed(shard, [shotAt(-1_000), shotAt(0), shotAt(2_000), shotAt(99_000, 'refused')]);
    expect(await valueOf('millrace_saga_timeouts_total')).toEqual({ a: 4 });
    expect(await valueOf('millrace_saga_timeouts_early_total')).toEqual({ a: 1 });
    expect(await sumOf('millrace_saga_timeout_late_seconds')).toEqual(['a 2']);
  });

  test('what is open ages while nobody counts it', async () => {
    const { told, valueOf } = metrics();
    told.standing(shard, { open: new Map([['reserving', { sagas: 2, sinceMs: 5_000 }]]), startedMs: 4_000, dueMs: 12_000 });
    expect(await valueOf('millrace_saga_oldest_open_seconds')).toEqual({ a: 6 });
    expect(await valueOf('millrace_saga_longest_in_state_seconds')).toEqual({ 'a reserving': 5, 'a confirming': 0, 'a undoing': 0 });
    expect(await valueOf('millrace_saga_timer_overdue_seconds')).toEqual({ a: 0 });
    told.standing(shard, { open: new Map([['reserving', { sagas: 2, sinceMs: 5_000 }]]), startedMs: 4_000, dueMs: 7_000 });
    expect(await valueOf('millrace_saga_timer_overdue_seconds')).toEqual({ a: 3 });
    expect(await valueOf('millrace_sagas_open')).toEqual({ 'a reserving': 2, 'a confirming': 0, 'a undoing': 0 });
    told.left(shard);
    expect(await valueOf('millrace_saga_oldest_open_seconds')).toEqual({});
  });

  test('only so many sagas are remembered: what is forgotten is not measured', () => {
    const stageOf = createStages(1);
    const of = (key: string, state: string, afterMs: number) => {
      const meaning = meaningOf({ ...moved('saga.reply', state, afterMs), record: { ...row('', null).record, key } });
      return meaning.is === 'moved' ? stageOf(meaning) : undefined;
    };
    of('demo/1', 'confirming', 10);
    of('demo/2', 'confirming', 20);
    expect(of('demo/1', 'confirmed', 30)).toBeUndefined();
    expect(of('demo/2', 'confirmed', 50)).toEqual({ state: 'confirming', tookMs: 30 });
  });
});
