/** How quickly the shards of a move answer a cheap question now, and whether they apply writes: what its pace adapts to. */
import type { Database } from '@millrace/postgres';
import { must } from '@millrace/write';
import type { Mover } from './mover.ts';

/** Behind a piece of work on both shards, which took so long: looks how they are, and rests where they have more to do. The time that the next piece should take. */
export async function restAfter({ order, source, target, pace, signal }: Mover, { workedMs, idleMs }: { readonly workedMs: number; readonly idleMs: number }): Promise<number> {
  await Promise.all(
    ([[order.source, source], [order.target, target]] as const).map(async ([shard, database]) => {
      const startedAtMs = performance.now();
      const applied = await readApplied(database);
      pace.observe(shard, { latencyMs: performance.now() - startedAtMs, applied });
    }),
  );
  const shards = [order.source, order.target];
  // Asked before the rest, in which a shard may seem to have become idle.
  const wantedMs = pace.pieceMs(idleMs, shards);
  await pace.rest(workedMs, shards, signal);
  return wantedMs;
}

/** Records of all slots and streams that the shard has ever applied. */
async function readApplied(database: Database): Promise<bigint> {
  const rows = await database.query<{ applied: bigint }>({ name: 'move-applied', text: 'select coalesce(sum(next_offset), 0)::bigint as applied from position' });
  return must(rows[0], 'a sum is one row').applied;
}
