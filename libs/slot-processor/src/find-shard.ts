/**
 * Finding the shard that applies a slot, after one has said that it does not.
 *
 * The rows lead: a signpost is followed at once, and where the slot is on its way it is waited for. What gives no
 * direction leads back to the topology, which is a hint and no more (R4); so does a long wait, because an old signpost may
 * have led to the target of another move. A slot may have no shard for as long as its mover takes: the
 * waits grow with the time that it has been searched, so that a short move is noticed soon after its end, and of a long
 * one every slot looks a few times a second, together with those that wait for the same answer.
 */
import type { Database } from '@millrace/postgres';
import { ownerOf } from '@millrace/ring';
import { shared, sleep, type Log } from '@millrace/runtime';
import { UnknownShard, type Shards, type TopologyFollower } from '@millrace/topology';
import type { ShardId, Slot } from '@millrace/write';
import { LOOK, SEARCH_WARN_MS, SIGNPOSTS_MAX, WAIT_HERE_MS } from './limits.ts';
import { readSigns, type SlotSign } from './slot-sign.sql.ts';

export type Direction =
  | { readonly kind: 'here' }
  | { readonly kind: 'there'; readonly shard: ShardId }
  /** It is on its way here: look here again. */
  | { readonly kind: 'wait' }
  /** Nothing is known here: ask the topology. */
  | { readonly kind: 'ask' };

/** What a shard's row of the slot says; undefined where it has none, or does not answer. Pure. */
export function directionOf(sign: Pick<SlotSign, 'state' | 'moved_to'> | undefined): Direction {
  if (sign?.state === 'ACTIVE' || sign?.state === 'MOVING') return { kind: 'here' };
  if (sign?.state === 'INCOMING') return { kind: 'wait' };
  return sign?.moved_to ? { kind: 'there', shard: sign.moved_to } : { kind: 'ask' };
}

/** The wait before the next look, after a search of `searchedMs`: an eighth of it, within the limits. Pure. */
export function lookAgainMs(searchedMs: number): number {
  return Math.min(LOOK.maxMs, Math.max(LOOK.minMs, searchedMs / LOOK.share));
}

export interface Search {
  readonly slot: Slot;
  /** Where to look first; without it where the topology says. */
  readonly movedTo: ShardId | undefined;
  /** When the slot was first missed, in `performance.now()`'s time. */
  readonly sinceMs: number;
  /** False once nobody waits for the answer. */
  readonly wanted: () => boolean;
}

export interface ShardFinder {
  /** The shard that applies the slot, as its row says; undefined where nobody waits for it. @throws the signal's reason */
  find(search: Search): Promise<ShardId | undefined>;
}

export interface ShardFinderInput {
  readonly topology: Pick<TopologyFollower, 'current' | 'refresh'>;
  readonly shards: Pick<Shards, 'get'>;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export function createShardFinder({ topology, shards, log, signal }: ShardFinderInput): ShardFinder {
  const looks = new Map<ShardId, Look>();

  async function look(shard: ShardId, slot: Slot): Promise<SlotSign | undefined> {
    let ask = looks.get(shard);
    if (!ask) looks.set(shard, (ask = createLook(shards.get(shard))));
    return ask(slot);
  }

  return {
    async find({ slot, movedTo, sinceMs, wanted }) {
      const tell = createTeller(log.child({ slot }));
      let at = movedTo ?? ownerOf(await topology.refresh(), slot);
      let waitsSinceMs = performance.now();
      for (let signposts = 0; wanted(); ) {
        const direction = directionOf(await look(at, slot).catch((error: unknown) => tell.unanswered(at, error)));
        if (direction.kind === 'here') return at;
        if (direction.kind === 'there' && signposts < SIGNPOSTS_MAX) {
          at = direction.shard;
          signposts += 1;
          continue;
        }
        signposts = 0;
        const searchedMs = performance.now() - sinceMs;
        tell.searching(at, searchedMs);
        await sleep(lookAgainMs(searchedMs), signal);
        if (direction.kind !== 'wait') at = ownerOf(await topology.refresh(), slot);
        else if (performance.now() - waitsSinceMs < WAIT_HERE_MS) continue;
        else at = ownerOf(topology.current(), slot);
        waitsSinceMs = performance.now();
      }
      return undefined;
    },
  };
}

type Look = (slot: Slot) => Promise<SlotSign | undefined>;

/** One question at a time to a shard, for all slots that wait for the next one. */
function createLook(database: Database): Look {
  let asked = new Set<Slot>();
  const ask = shared(() => {
    const slots = [...asked];
    asked = new Set();
    return database.query<SlotSign>(readSigns(slots));
  });

  return async (slot) => {
    asked.add(slot);
    return (await ask()).find((sign) => sign.slot === slot);
  };
}

/** Says once of a search what an operator should know. */
function createTeller(log: Log): { unanswered(shard: ShardId, error: unknown): undefined; searching(shard: ShardId, searchedMs: number): void } {
  let warned = false;
  let unknown = false;
  return {
    unanswered(shard, error) {
      if (!(error instanceof UnknownShard)) log.debug({ shard, reason: String(error) }, 'the shard does not answer where the slot is');
      else if (!unknown) log.error({ shard, reason: error.message }, 'the slot waits until the shards file names its shard');
      unknown ||= error instanceof UnknownShard;
      return undefined;
    },
    searching(shard, searchedMs) {
      if (warned || searchedMs < SEARCH_WARN_MS) return;
      warned = true;
      log.warn({ shard, searchedMs: Math.round(searchedMs) }, 'no shard applies the slot; its writes wait. See `millrace ring status` for its move');
    },
  };
}
