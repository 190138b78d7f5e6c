/** How quickly the shards of a move answer a cheap question now, and whether they apply writes: what its pace adapts to. */
import type { Database } from '@millrace/postgres';
import { must, type ShardId, type Slot } from '@millrace/write';
import { BUSY_MS, OWN_LOOK_MS, OWN_RECORDS_MIN } from './limits.ts';
import type { Mover } from './mover.ts';

/** Where a piece works. */
export interface Place {
  readonly shard: ShardId;
  readonly database: Database;
}

export interface Piece {
  readonly workedMs: number;
  /** What the next one should take while nobody else needs the shards. */
  readonly idleMs: number;
}

export interface Rests {
  /** The time that the next piece should take. */
  after(piece: Piece): Promise<number>;
}

type Resting = Pick<Mover, 'order' | 'pace' | 'signal'>;

/** Records that a shard has ever applied, of all slots and streams, and of the slot that moves. */
interface Applied {
  readonly all: bigint;
  readonly own: bigint;
}

/** Behind a piece of work: looks how its shards are, and rests where they have more to do. The time that the next piece should take. */
export async function restBehind(mover: Resting, places: readonly Place[], piece: Piece): Promise<number> {
  await look(mover, places);
  return rest(mover, places, piece);
}

/**
 * The same for the pieces of one copy; but not where most of what the source, the first place, applies is of the slot
 * itself: a rest would only let it run further ahead. That is judged over a while, because a look may see one turn or none.
 */
export function createRests(mover: Resting, places: readonly Place[], now = (): number => performance.now()): Rests {
  let before: (Applied & { readonly atMs: number }) | undefined;
  let isMostlyOwn = false;

  function judge(seen: Applied): void {
    const atMs = now();
    before ??= { ...seen, atMs };
    if (atMs - before.atMs < (seen.all > before.all ? OWN_LOOK_MS : BUSY_MS)) return;
    const own = seen.own - before.own;
    isMostlyOwn = own >= OWN_RECORDS_MIN && 2n * own > seen.all - before.all;
    before = { ...seen, atMs };
  }

  return {
    async after(piece) {
      judge(await look(mover, places));
      return isMostlyOwn ? piece.idleMs : rest(mover, places, piece);
    },
  };
}

/** What the first place has applied. */
async function look({ order, pace }: Resting, places: readonly Place[]): Promise<Applied> {
  const seen = await Promise.all(
    places.map(async ({ shard, database }) => {
      const startedAtMs = performance.now();
      const applied = await readApplied(database, order.slot);
      pace.observe(shard, { latencyMs: performance.now() - startedAtMs, applied: applied.all });
      return applied;
    }),
  );
  return must(seen[0], 'a piece works somewhere');
}

async function rest({ pace, signal }: Resting, places: readonly Place[], { workedMs, idleMs }: Piece): Promise<number> {
  const shards = places.map(({ shard }) => shard);
  // Asked before the rest, in which a shard may seem to have become idle.
  const wantedMs = pace.pieceMs(idleMs, shards);
  await pace.rest(workedMs, shards, signal);
  return wantedMs;
}

async function readApplied(database: Database, slot: Slot): Promise<Applied> {
  const rows = await database.query<Applied>({
    name: 'move-applied',
    text: `select coalesce(sum(next_offset), 0)::bigint as "all", coalesce(sum(next_offset) filter (where slot = $1), 0)::bigint as own from position`,
    values: [slot],
  });
  return must(rows[0], 'a sum is one row');
}
