/**
 * Asking the shard that holds a slot, also while it moves.
 *
 * The topology is a hint (R4): the slot row on the shard decides, and every statement reads it in the snapshot of its
 * data. So nothing is told from a shard that does not hold the slot: neither old rows after a fence, nor an absence
 * where rows are on their way. A signpost is followed at once. Between fence and activation, where the target is
 * INCOMING, the read waits among the watchers of that shard; where the rows lead nowhere (an abort under way, a shard
 * that is down or has no address here yet) it begins again after a pause; all of it up to its deadline.
 */
import type { Database } from '@millrace/postgres';
import { sleep, type Log } from '@millrace/runtime';
import type { TopologyFollower } from '@millrace/topology';
import type { ShardId, Slot } from '@millrace/write';
import type { Refusal } from '../http/answer.ts';
import { createAddresses } from './addresses.ts';
import { createOwnerHint } from './hint.ts';
import { holdsSlot, type SlotRow } from './positions.sql.ts';
import { isOutage, notYetApplied, shardUnavailable } from './unavailable.ts';
import { createWalk } from './walk.ts';
import type { Place, Waits } from './waits.ts';
import type { Wanted, Watch } from './watch.ts';

export type Held<R> = R & { readonly next_offset: bigint };

export type Ask<R> = (shard: Database, id: ShardId) => Promise<R | undefined>;

export interface FollowSlot {
  /**
   * What `ask` reads on the shard that holds the slot. With `after`, its position is past that offset; with `awaits`,
   * nothing is awaited any more.
   * @throws Refusal where that does not happen before `expiresAtMs` (on `performance.now()`); at once where the shard
   * is down and nothing is waited for, and where it would wait and there is no place.
   */
  read<R extends SlotRow>(slot: Slot, ask: Ask<R>, options: FollowOptions<R>): Promise<Held<R>>;
}

export interface FollowOptions<R extends SlotRow = SlotRow> {
  readonly expiresAtMs: number;
  /** The offset that must be applied. */
  readonly after?: bigint;
  /** True to watch the position first, because the offset was only just accepted. */
  readonly watchFirst?: boolean;
  /** What must come before a row is the answer; it is asked again when it has. Undefined where the row is the answer. */
  readonly awaits?: (row: Held<R>) => Wanted | undefined;
}

const PAUSE_MS_MIN = 5;
const PAUSE_MS_MAX = 100;
/** So long a read watches one shard before it looks whether the topology, as it is known by then, names another. */
const WATCH_SLICE_MS = 1_000;
/** Every position of a slot that is held is past it. */
const ANY_POSITION = -1n;

/** How one look at one shard ended. `absent`: no row, or that of an aborted move. `unknown`: no address. */
type Look<R> =
  | { readonly is: 'held'; readonly row: Held<R> }
  | { readonly is: 'moved'; readonly to: ShardId }
  | { readonly is: 'awaits'; readonly awaited: Wanted }
  | { readonly is: 'behind' | 'reached' | 'expired' | 'incoming' | 'absent' | 'silent' | 'unknown' };

export interface FollowSlotOptions {
  readonly topology: Pick<TopologyFollower, 'current' | 'refresh'>;
  /** Throws where it knows no address. */
  readonly database: (id: ShardId) => Database;
  readonly watch: Watch;
  readonly waits: Waits;
  readonly log: Log;
}

export function createFollowSlot({ topology, database, watch, waits, log }: FollowSlotOptions): FollowSlot {
  const hint = createOwnerHint(topology);
  const addresses = createAddresses({ database, log });

  async function read<R extends SlotRow>(slot: Slot, ask: Ask<R>, options: FollowOptions<R>): Promise<Held<R>> {
    const place = waits.place();
    try {
      return await walkTo(slot, ask, options, place);
    } finally {
      place.give();
    }
  }

  async function walkTo<R extends SlotRow>(slot: Slot, ask: Ask<R>, options: FollowOptions<R>, place: Place): Promise<Held<R>> {
    const { expiresAtMs, after, watchFirst = false } = options;
    const position: Wanted = { is: 'position', offset: after ?? ANY_POSITION };
    const walk = createWalk(() => hint.ownerOf(slot));
    const refusal = (look: Look<R>['is']): Refusal => refusalOf(look, { shard: walk.at(), slot, after });
    let pauseMs = PAUSE_MS_MIN;
    let watching: Wanted | undefined = watchFirst && after !== undefined ? position : undefined;
    for (;;) {
      if (watching) place.take();
      const look: Look<R> = watching ? await watchOnce(walk.at(), slot, watching, expiresAtMs) : await askOnce(walk.at(), ask, options);
      switch (look.is) {
        case 'held':
          return look.row;
        case 'reached':
          watching = undefined;
          continue;
        case 'behind':
          watching = position;
          continue;
        case 'awaits':
          watching = look.awaited;
          continue;
        case 'incoming':
          // So it is between fence and activation; or the topology and its signposts are old, and the owner is another.
          hint.renew();
          watching = position;
          continue;
        case 'expired':
          if (isOver()) throw refusal(look.is);
          // What a saga does is asked for again now and then, whatever the watch has seen.
          if (watching?.is === 'saga') watching = undefined;
          if (!walk.heed()) continue;
          break;
        case 'moved':
          if (!walk.follow(look.to)) await startOver(look.is);
          break;
        case 'silent':
          if (after === undefined) await findAnotherOwner(look.is);
          else await startOver(look.is);
          break;
        default:
          await startOver(look.is);
      }
      // On another shard the rows are asked, unless something is waited for: offsets are the same there.
      if (after === undefined) watching = undefined;
    }

    function isOver(): boolean {
      return performance.now() >= expiresAtMs;
    }

    async function startOver(why: Look<R>['is']): Promise<void> {
      if (isOver()) throw refusal(why);
      place.take();
      hint.renew();
      await sleep(Math.min(pauseMs, Math.max(0, expiresAtMs - performance.now())));
      pauseMs = Math.min(PAUSE_MS_MAX, pauseMs * 2);
      walk.startOver();
    }

    /** The shard that is down may be one that the slot has left. */
    async function findAnotherOwner(why: Look<R>['is']): Promise<void> {
      await hint.renewed();
      if (!walk.heed()) throw refusal(why);
    }
  }

  async function askOnce<R extends SlotRow>(shard: ShardId, ask: Ask<R>, { after, awaits }: FollowOptions<R>): Promise<Look<R>> {
    const known = addresses.find(shard);
    if (known === undefined) return { is: 'unknown' };
    try {
      const row = await ask(known, shard);
      if (!holdsSlot(row)) return elsewhere(row);
      if (after !== undefined && row.next_offset <= after) return { is: 'behind' };
      const awaited = awaits?.(row);
      return awaited ? { is: 'awaits', awaited } : { is: 'held', row };
    } catch (error) {
      if (!isOutage(error)) throw error;
      return { is: 'silent' };
    }
  }

  async function watchOnce(shard: ShardId, slot: Slot, awaited: Wanted, expiresAtMs: number): Promise<Look<never>> {
    const result = await watch.until(shard, slot, awaited, Math.min(expiresAtMs, performance.now() + WATCH_SLICE_MS));
    return result.is === 'elsewhere' ? elsewhere(result.row) : result;
  }

  return { read };
}

/** What a row says that does not hold the slot. */
function elsewhere(row: SlotRow | undefined): Look<never> {
  if (row?.slot_state === 'MOVED' && row.moved_to !== null) return { is: 'moved', to: row.moved_to };
  return { is: row?.slot_state === 'INCOMING' ? 'incoming' : 'absent' };
}

function refusalOf(look: Look<unknown>['is'], { shard, slot, after }: { readonly shard: ShardId; readonly slot: Slot; readonly after: bigint | undefined }): Refusal {
  if (after !== undefined && look === 'expired') return notYetApplied();
  const detail = detailOf(look, shard, slot);
  return after === undefined ? shardUnavailable(detail) : notYetApplied(detail);
}

function detailOf(look: Look<unknown>['is'], shard: ShardId, slot: Slot): string {
  if (look === 'silent') return `shard ${shard}`;
  if (look === 'unknown') return `shard ${shard} has no address in the shards file yet`;
  return `slot ${slot} is on its way; shard ${shard} was asked last`;
}
