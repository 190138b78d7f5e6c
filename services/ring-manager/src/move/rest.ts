/** How quickly the shards of a move answer a cheap question now, and whether they apply writes: what its pace adapts to. */
import type { Database } from '@millrace/postgres';
import { must, type Slot } from '@millrace/write';
import type { Mover } from './mover.ts';

/** Records that a shard has ever applied, of all slots and streams, and of the slot that moves. */
interface Applied {
  readonly all: bigint;
  readonly own: bigint;
}

/** Of the source, as of the last look of a mover. */
const lastLooks = new WeakMap<Mover, Applied>();

/**
 * Behind a piece of work on both shards, which took so long: looks how they are, and rests where they have more to do.
 * Not where most of what the source applies is of the slot itself: a rest would only let it run further ahead.
 * The time that the next piece should take.
 */
export async function restAfter(mover: Mover, { workedMs, idleMs }: { readonly workedMs: number; readonly idleMs: number }): Promise<number> {
  const { order, source, target, pace, signal } = mover;
  const look = async (shard: Mover['order']['source'], database: Database): Promise<Applied> => {
    const startedAtMs = performance.now();
    const applied = await readApplied(database, order.slot);
    pace.observe(shard, { latencyMs: performance.now() - startedAtMs, applied: applied.all });
    return applied;
  };
  const [now] = await Promise.all([look(order.source, source), look(order.target, target)]);
  const before = lastLooks.get(mover);
  lastLooks.set(mover, now);
  if (before !== undefined && isMostlyOwn(before, now)) return idleMs;
  const shards = [order.source, order.target];
  // Asked before the rest, in which a shard may seem to have become idle.
  const wantedMs = pace.pieceMs(idleMs, shards);
  await pace.rest(workedMs, shards, signal);
  return wantedMs;
}

function isMostlyOwn(before: Applied, now: Applied): boolean {
  return 2n * (now.own - before.own) > now.all - before.all;
}

async function readApplied(database: Database, slot: Slot): Promise<Applied> {
  const rows = await database.query<Applied>({
    name: 'move-applied',
    text: `select coalesce(sum(next_offset), 0)::bigint as "all", coalesce(sum(next_offset) filter (where slot = $1), 0)::bigint as own from position`,
    values: [slot],
  });
  return must(rows[0], 'a sum is one row');
}
