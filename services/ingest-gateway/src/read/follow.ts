/**
 * Asking the shard that holds a slot.
 *
 * The topology is a hint (R4): the slot row on the shard decides. A shard that does not hold the slot tells where it
 * went, or the topology is read again; so a read follows a move until its deadline.
 */
import type { Database } from '@millrace/postgres';
import { ownerOf } from '@millrace/ring';
import { sleep } from '@millrace/runtime';
import type { TopologyFollower } from '@millrace/topology';
import type { ShardId, Slot } from '@millrace/write';
import { holdsSlot, type SlotRow } from './positions.sql.ts';
import { isOutage, notYetApplied, shardUnavailable } from './unavailable.ts';
import type { Watch } from './watch.ts';

export type Held<R> = R & { readonly next_offset: bigint };

export interface FollowSlot {
  /**
   * What `ask` reads on the shard that holds the slot. With `after`, its position is past that offset.
   * @throws Refusal where that does not happen before `expiresAtMs` (on `performance.now()`).
   */
  read<R extends SlotRow>(slot: Slot, ask: (shard: Database, id: ShardId) => Promise<R | undefined>, options: FollowOptions): Promise<Held<R>>;
}

export interface FollowOptions {
  readonly expiresAtMs: number;
  /** The offset that must be applied. */
  readonly after?: bigint;
  /** True to watch the position first, because the offset was only just accepted. */
  readonly watchFirst?: boolean;
}

const PAUSE_MS_MIN = 5;
const PAUSE_MS_MAX = 100;

export function createFollowSlot({ topology, database, watch }: { topology: TopologyFollower; database: (id: ShardId) => Database; watch: Watch }): FollowSlot {
  async function read<R extends SlotRow>(slot: Slot, ask: (shard: Database, id: ShardId) => Promise<R | undefined>, options: FollowOptions): Promise<Held<R>> {
    const { expiresAtMs, after, watchFirst = false } = options;
    let shard = ownerOf(topology.current(), slot);
    let watching = watchFirst && after !== undefined;
    for (let pauseMs = PAUSE_MS_MIN; ; pauseMs = Math.min(PAUSE_MS_MAX, pauseMs * 2)) {
      if (watching && after !== undefined) {
        const result = await watch.past(shard, slot, after, expiresAtMs);
        if (result === 'expired') throw notYetApplied();
      }
      const row = await askOnce(shard, ask, options);
      if (holdsSlot(row)) {
        if (after === undefined || row.next_offset > after) return row;
        watching = true;
        continue;
      }
      watching = false;
      if (performance.now() + pauseMs >= expiresAtMs) throw after === undefined ? shardUnavailable(shard) : notYetApplied();
      await sleep(pauseMs);
      shard = row?.moved_to ?? ownerOf(await topology.refresh(), slot);
    }
  }

  /** Undefined while the shard is down and there is still something to wait for. */
  async function askOnce<R>(shard: ShardId, ask: (shard: Database, id: ShardId) => Promise<R | undefined>, { after }: FollowOptions): Promise<R | undefined> {
    try {
      return await ask(database(shard), shard);
    } catch (error) {
      if (!isOutage(error)) throw error;
      if (after === undefined) throw shardUnavailable(shard);
      return undefined;
    }
  }

  return { read };
}
