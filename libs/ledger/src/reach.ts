/** Waiting until the shards have applied what the log holds. */
import type { Database } from '@millrace/postgres';
import { sleep, type Log } from '@millrace/runtime';
import type { ShardId } from '@millrace/write';
import { POSITION_POLL_MS } from './limits.ts';
import type { LogEnds } from './snapshot.ts';

export interface Reach {
  readonly ends: readonly LogEnds[];
  /** Asked for each look: a shard may join meanwhile. */
  readonly shardIds: () => readonly ShardId[];
  readonly shards: (id: ShardId) => Database;
  readonly waitMs: number;
  readonly log?: Log | undefined;
  readonly signal: AbortSignal;
}

/** Polls until every slot has reached its end on the shard that holds it, wherever that is, or the time is over. */
export async function waitForPositions({ ends, shardIds, shards, waitMs, log, signal }: Reach): Promise<void> {
  const deadlineMs = performance.now() + waitMs;
  while (waitMs > 0) {
    const positions = await Promise.all(shardIds().map((shard) => heldPositions(shards(shard), signal)));
    const behind = ends.filter(({ slot, high }) => high > 0n && !positions.some((held) => (held.get(slot) ?? 0n) >= high));
    if (behind.length === 0) return;
    if (performance.now() >= deadlineMs) {
      log?.warn({ slots: behind.map(({ slot }) => slot), waitMs }, 'slots have not reached the end of the log');
      return;
    }
    await sleep(POSITION_POLL_MS, signal);
  }
}

async function heldPositions(database: Database, signal: AbortSignal): Promise<ReadonlyMap<number, bigint>> {
  signal.throwIfAborted();
  const positions = await database.query<{ readonly slot: number; readonly next: bigint }>({
    text: `select slot, next_offset as next from position join slot using (slot) where stream = 'writes' and state in ('ACTIVE', 'MOVING')`,
  });
  return new Map(positions.map(({ slot, next }) => [slot, next]));
}
