/** What a plan is estimated from: positions on the shards, and the moves that have ended. */
import type { Database, Tx } from '@millrace/postgres';
import type { Slot } from '@millrace/write';

/** Records applied so far by slot, over all streams. */
export async function readPositions(shard: Database): Promise<ReadonlyMap<Slot, bigint>> {
  const rows = await shard.query<{ slot: Slot; applied: bigint }>({ name: 'position-sums', text: 'select slot, sum(next_offset)::bigint as applied from position group by slot' });
  return new Map(rows.map(({ slot, applied }) => [slot, applied]));
}

export interface PastMoves {
  /** Of one move, the median; null before the first that copied a little. */
  readonly bytesPerSecond: number | null;
  readonly stallMs: number | null;
}

/** Smaller moves tell of their fixed costs, not of the bandwidth. */
const TELLING_BYTES = 1024 * 1024;

export async function readPastMoves(control: Pick<Tx, 'query'>): Promise<PastMoves> {
  const rows = await control.query<PastMoves>({
    name: 'move-past',
    text: `with ended as (
             select progress, extract(epoch from ended_at - started_at)::float8 as seconds
             from move where state = 'done' order by ended_at desc limit 64)
           select percentile_cont(0.5) within group (order by (progress ->> 'bytes')::float8 / greatest(seconds, 0.001))
                    filter (where (progress ->> 'bytes')::float8 >= $1) as "bytesPerSecond",
                  percentile_cont(0.5) within group (order by (progress ->> 'stallMs')::float8) as "stallMs"
           from ended`,
    values: [TELLING_BYTES],
  });
  return rows[0] ?? { bytesPerSecond: null, stallMs: null };
}
