/** How quickly the shards of a move answer a cheap question now, and whether they apply writes: what its pace adapts to. */
import type { Database } from '@millrace/postgres';
import { must, type ShardId, type Slot } from '@millrace/write';
import type { Mover } from './mover.ts';

export interface Piece {
  readonly workedMs: number;
  /** What the next one should take while nobody else needs the shards. */
  readonly idleMs: number;
}

export interface Rests {
  /**
   * Behind a piece of work: looks how its shards are, and rests where they have more to do. Not where most of
   * what the first of them applies is of the slot itself: a rest would only let it run further ahead.
   * The time that the next piece should take.
   */
  after(piece: Piece): Promise<number>;
}

/** Records that a shard has ever applied, of all slots and streams, and of the slot that moves. */
export interface Applied {
  readonly all: bigint;
  readonly own: bigint;
}

/** Where a piece works. */
export interface Place {
  readonly shard: ShardId;
  readonly database: Database;
}

/** Of one task of a mover on some shards: what the first of them had applied is remembered from look to look. */
export function createRests({ order, pace, signal }: Pick<Mover, 'order' | 'pace' | 'signal'>, places: readonly Place[]): Rests {
  const shards = places.map(({ shard }) => shard);
  let before: Applied | undefined;
  let isOutrun = false;

  async function look({ shard, database }: Place): Promise<Applied> {
    const startedAtMs = performance.now();
    const applied = await readApplied(database, order.slot);
    pace.observe(shard, { latencyMs: performance.now() - startedAtMs, applied: applied.all });
    return applied;
  }

  return {
    async after({ workedMs, idleMs }) {
      const now = must((await Promise.all(places.map(look)))[0], 'a piece works somewhere');
      // Between two turns nothing is applied, and what was seen last still holds.
      if (before !== undefined && now.all > before.all) isOutrun = isMostlyOwn(before, now);
      before = now;
      if (isOutrun) return idleMs;
      // Asked before the rest, in which a shard may seem to have become idle.
      const wantedMs = pace.pieceMs(idleMs, shards);
      await pace.rest(workedMs, shards, signal);
      return wantedMs;
    },
  };
}

/** Whether more than half of what a shard has applied between two looks is of the slot. */
export function isMostlyOwn(before: Applied, now: Applied): boolean {
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
