/**
 * Waiting until a shard has applied an offset.
 *
 * While anyone waits for a shard, one loop reads the positions of the slots waited for: one small query for all
 * waiters together. It reads often while positions move and less often while they do not. Where the slot is INCOMING the
 * waiters wait on: it is about to be activated there.
 */
import type { Database } from '@millrace/postgres';
import { sleep, type Log } from '@millrace/runtime';
import type { ShardId, Slot } from '@millrace/write';
import { Refusal } from '../http/answer.ts';
import type { Deadline, Deadlines } from '../http/deadlines.ts';
import type { Limits } from '../limits.ts';
import { holdsSlot, readPositions, type SlotRow } from './positions.sql.ts';

/** `elsewhere`: the shard neither holds the slot nor is about to; its row, which tells where the slot went. */
export type WatchResult = { readonly is: 'reached' | 'expired' } | { readonly is: 'elsewhere'; readonly row: SlotRow | undefined };

export interface Watch {
  /**
   * Resolves once the position of the slot is past the offset, the slot is elsewhere, or the time is over.
   * @throws Refusal at the limit of waiters.
   */
  past(shard: ShardId, slot: Slot, offset: bigint, expiresAtMs: number): Promise<WatchResult>;
  waiters(): number;
}

interface Waiter extends Deadline {
  readonly slot: Slot;
  readonly offset: bigint;
  settle(result: WatchResult): void;
}

export interface WatchOptions {
  readonly database: (shard: ShardId) => Database;
  readonly deadlines: Deadlines;
  readonly limits: Limits;
  readonly log: Log;
}

export function createWatch({ database, deadlines, limits, log }: WatchOptions): Watch {
  const waitersByShard = new Map<ShardId, Set<Waiter>>();
  let waiters = 0;

  function past(shard: ShardId, slot: Slot, offset: bigint, expiresAtMs: number): Promise<WatchResult> {
    if (waiters >= limits.waitersMax) throw new Refusal('too_many_requests', 'too many requests wait', { retryAfterS: 1 });
    return new Promise((resolve) => {
      const waiting = waitersByShard.get(shard) ?? new Set<Waiter>();
      const waiter: Waiter = { slot, offset, expiresAtMs, expire: () => waiter.settle({ is: 'expired' }), settle };
      waiters += 1;
      waiting.add(waiter);
      deadlines.add(waiter);
      if (!waitersByShard.has(shard)) {
        waitersByShard.set(shard, waiting);
        void follow(shard, waiting);
      }

      function settle(result: WatchResult): void {
        if (!waiting.delete(waiter)) return;
        waiters -= 1;
        deadlines.remove(waiter);
        resolve(result);
      }
    });
  }

  /** Runs while anyone waits for the shard. */
  async function follow(shard: ShardId, waiting: Set<Waiter>): Promise<void> {
    let intervalMs: number = limits.watchIntervalMsMin;
    while (waiting.size > 0) {
      const before = waiting.size;
      const read = await readOnce(shard, waiting);
      const settled = waiting.size < before;
      intervalMs = settled ? limits.watchIntervalMsMin : Math.min(limits.watchIntervalMsMax, intervalMs * 1.5);
      await sleep(read ? intervalMs : limits.watchIntervalMsMax);
    }
    waitersByShard.delete(shard);
  }

  /** False where the shard did not answer; the waiters then wait on, up to their deadlines. */
  async function readOnce(shard: ShardId, waiting: Set<Waiter>): Promise<boolean> {
    const asked = [...waiting];
    try {
      const rows = await readPositions(database(shard), [...new Set(asked.map(({ slot }) => slot))]);
      const rowOf = new Map(rows.map((row) => [row.slot, row]));
      for (const waiter of asked) {
        const row = rowOf.get(waiter.slot);
        if (holdsSlot(row)) {
          if (row.next_offset > waiter.offset) waiter.settle({ is: 'reached' });
        } else if (row?.slot_state !== 'INCOMING') waiter.settle({ is: 'elsewhere', row });
      }
      return true;
    } catch (error) {
      log.warn({ shard, waiters: asked.length, error }, 'positions could not be read; the waiters wait on');
      return false;
    }
  }

  return { past, waiters: () => waiters };
}
