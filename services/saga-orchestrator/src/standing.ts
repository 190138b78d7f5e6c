/** Counts what stands on the shards, each by itself, for people and their alarms. */
import type { Database } from '@millrace/postgres';
import { sleep } from '@millrace/runtime';
import type { ShardId, Slot } from '@millrace/write';
import { COUNT_EVERY_MS, COUNT_SHARE } from './limits.ts';
import type { SagaMetrics } from './metrics.ts';
import { countOpen, type OpenCount } from './standing.sql.ts';

export interface StandingInput {
  readonly shardIds: () => readonly ShardId[];
  readonly slotsOn: (shard: ShardId) => readonly Slot[];
  readonly database: (shard: ShardId) => Pick<Database, 'query'>;
  readonly metrics: Pick<SagaMetrics, 'standing' | 'notCounted' | 'left'>;
  readonly signal: AbortSignal;
}

/** Counts until the signal aborts. A shard that does not answer keeps its last figures, and keeps no other waiting. */
export async function watchStanding({ shardIds, slotsOn, database, metrics, signal }: StandingInput): Promise<void> {
  const busy = new Set<ShardId>();
  const told = new Set<ShardId>();

  async function count(shard: ShardId): Promise<void> {
    const slots = slotsOn(shard);
    if (slots.length === 0) {
      if (told.delete(shard)) metrics.left(shard);
      return;
    }
    const startedMs = performance.now();
    const rows = await database(shard).query<OpenCount>(countOpen(slots));
    metrics.standing(shard, {
      open: new Map(rows.map(({ state, sagas, since_ms: sinceMs }) => [state, { sagas: Number(sagas), sinceMs: Number(sinceMs) }])),
      startedMs: least(rows.map(({ oldest_ms: oldestMs }) => oldestMs)),
      dueMs: least(rows.map(({ due_ms: dueMs }) => dueMs)),
    });
    told.add(shard);
    const restMs = (performance.now() - startedMs) * COUNT_SHARE - COUNT_EVERY_MS;
    if (restMs > 0) await sleep(restMs, signal);
  }

  while (!signal.aborted) {
    for (const shard of shardIds()) {
      if (busy.has(shard)) continue;
      busy.add(shard);
      void Promise.resolve()
        .then(() => count(shard))
        .catch((error: unknown) => metrics.notCounted(shard, error))
        .finally(() => busy.delete(shard));
    }
    await sleep(COUNT_EVERY_MS, signal).catch(() => undefined);
  }
}

function least(values: readonly (bigint | null)[]): number | undefined {
  const known = values.filter((value) => value !== null).map(Number);
  return known.length === 0 ? undefined : Math.min(...known);
}
