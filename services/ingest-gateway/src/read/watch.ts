/**
 * Waiting until a shard has applied an offset, or has word of a saga.
 *
 * While anyone waits for a shard, one loop reads the progress of the slots waited for: one small query for all
 * waiters together. It reads often while positions move and less often while they do not. Where the slot is INCOMING the
 * waiters wait on: it is about to be activated there.
 */
import type { Database } from '@millrace/postgres';
import { sleep, type Log } from '@millrace/runtime';
import type { ShardId, Slot } from '@millrace/write';
import type { Deadline, Deadlines } from '../http/deadlines.ts';
import type { Limits } from '../limits.ts';
import { holdsSlot, readProgress, type Progress, type SlotRow, type WatchedSlot } from './positions.sql.ts';

/** What is waited for in a slot. */
export type Wanted =
  /** The position of stream `writes` is past the offset. */
  | { readonly is: 'position'; readonly offset: bigint }
  /** Stream `sagas` tells something of the key, at this offset or later; with `ended`, something after which nothing may come. */
  | { readonly is: 'saga'; readonly key: string; readonly from: bigint; readonly ended: boolean };

/** `elsewhere`: the shard neither holds the slot nor is about to; its row, which tells where the slot went. */
export type WatchResult = { readonly is: 'reached' | 'expired' } | { readonly is: 'elsewhere'; readonly row: SlotRow | undefined };

export interface Watch {
  /** Resolves once what is awaited is so, the slot is elsewhere, or the time is over. */
  until(shard: ShardId, slot: Slot, awaited: Wanted, expiresAtMs: number): Promise<WatchResult>;
  waiters(): number;
}

interface Waiter extends Deadline {
  readonly slot: Slot;
  /** Of a saga: as far as the journal was looked through for it. */
  awaited: Wanted;
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

  function until(shard: ShardId, slot: Slot, awaited: Wanted, expiresAtMs: number): Promise<WatchResult> {
    return new Promise((resolve) => {
      const waiting = waitersByShard.get(shard) ?? new Set<Waiter>();
      const waiter: Waiter = { slot, awaited, expiresAtMs, expire: () => waiter.settle({ is: 'expired' }), settle };
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
      const rows = await readProgress(database(shard), slotsOf(asked));
      const found = new Map(rows.map((row) => [row.slot, seenOf(row)]));
      for (const waiter of asked) look(waiter, found.get(waiter.slot));
      return true;
    } catch (error) {
      log.warn({ shard, waiters: asked.length, error }, 'positions could not be read; the waiters wait on');
      return false;
    }
  }

  return { until, waiters: () => waiters };
}

/** What a look saw of one slot. */
interface Seen {
  readonly row: Progress;
  readonly told: ReadonlySet<string>;
  readonly ended: ReadonlySet<string>;
}

function seenOf(row: Progress): Seen {
  return { row, told: new Set(row.told), ended: new Set(row.ended) };
}

/** Of each slot the journal is looked through from the first offset on that a waiter has not seen. */
function slotsOf(waiters: readonly Waiter[]): readonly WatchedSlot[] {
  const fromBySlot = new Map<number, bigint | null>();
  for (const { slot, awaited } of waiters) {
    const known = fromBySlot.get(slot) ?? null;
    const from = awaited.is === 'saga' ? awaited.from : null;
    fromBySlot.set(slot, known === null || (from !== null && from < known) ? from : known);
  }
  return [...fromBySlot].map(([slot, from]) => ({ slot, from }));
}

function look(waiter: Waiter, seen: Seen | undefined): void {
  const { awaited } = waiter;
  if (!seen || !holdsSlot(seen.row)) {
    if (seen?.row.slot_state !== 'INCOMING') waiter.settle({ is: 'elsewhere', row: seen?.row });
    return;
  }
  if (awaited.is === 'position') {
    if (seen.row.next_offset > awaited.offset) waiter.settle({ is: 'reached' });
    return;
  }
  const word = awaited.ended ? seen.ended : seen.told;
  if (word.has(awaited.key)) waiter.settle({ is: 'reached' });
  else if (seen.row.looked_to !== null && seen.row.looked_to > awaited.from) waiter.awaited = { ...awaited, from: seen.row.looked_to };
}
