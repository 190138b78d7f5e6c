/** How quickly the shards of a move answer a cheap question now: what the throttle adapts to. */
import type { Mover } from './mover.ts';
import { readSideRow } from './side.sql.ts';

export async function probe({ order, source, target, pace }: Mover): Promise<void> {
  await Promise.all(
    ([[order.source, source], [order.target, target]] as const).map(async ([shard, database]) => {
      const startedAtMs = performance.now();
      await database.query(readSideRow(order.slot));
      pace.observe(shard, performance.now() - startedAtMs);
    }),
  );
}
