/** How far the shards are, and waiting until they have applied what the logs hold. */
import type { Database } from '@millrace/postgres';
import { sleep, type Log } from '@millrace/runtime';
import { INTERNAL_KEY_BYTES } from '@millrace/wire';
import type { ShardId, Stream } from '@millrace/write';
import { POSITION_POLL_MS } from './limits.ts';
import type { OfStreams } from './slot-ledger.ts';
import type { LogEnds, Position } from './snapshot.ts';

export type Ends = OfStreams<readonly LogEnds[]>;

export interface Reach {
  readonly ends: Ends;
  /** Asks again where the logs end. */
  readonly askEnds: () => Promise<Ends>;
  /** Asked for each look: a shard may join meanwhile. */
  readonly shardIds: () => readonly ShardId[];
  readonly shards: (id: ShardId) => Database;
  /** Waits until no saga is open either, nothing is on its way, and no record of a saga is parked. */
  readonly untilEnded: boolean;
  readonly waitMs: number;
  readonly log?: Log | undefined;
  readonly signal: AbortSignal;
}

const STREAMS: readonly Stream[] = ['writes', 'sagas'];

/** Polls until every slot has reached its ends on the shard that holds it, wherever that is, or the time is over. */
export async function waitForPositions({ ends: first, askEnds, shardIds, shards, untilEnded, waitMs, log, signal }: Reach): Promise<void> {
  const deadlineMs = performance.now() + waitMs;
  let ends = first;
  while (waitMs > 0) {
    const held = await heldPositions(shardIds(), shards, signal);
    const behind = STREAMS.flatMap((stream) => ends[stream].filter(({ slot, high }) => high > (held[stream].get(slot)?.nextOffset ?? 0n)).map(({ slot }) => slot));
    if (behind.length === 0) {
      if (!untilEnded) return;
      const isAtRest = isRelayed(held) && (await countOpen(shardIds(), shards, signal)) === 0n;
      const now = await askEnds();
      if (isAtRest && isSame(ends, now)) return;
      ends = now;
    }
    if (performance.now() >= deadlineMs) {
      log?.warn({ slots: [...new Set(behind)], waitMs }, behind.length > 0 ? 'slots have not reached the ends of the logs' : 'sagas are still open, or records of theirs are parked');
      return;
    }
    await sleep(POSITION_POLL_MS, signal);
  }
}

/** The positions of all slots on the shards that hold them. Of two that both seem to, the one that is further. */
export async function heldPositions(shardIds: readonly ShardId[], shards: (id: ShardId) => Database, signal: AbortSignal): Promise<OfStreams<ReadonlyMap<number, Position>>> {
  interface Row extends Position {
    readonly slot: number;
    readonly stream: Stream;
  }
  signal.throwIfAborted();
  const text = `select slot, stream::text as stream, next_offset as "nextOffset", relayed_offset as "relayedOffset"
                from position join slot using (slot) where state in ('ACTIVE', 'MOVING')`;
  const rows = (await Promise.all(shardIds.map((shard) => shards(shard).query<Row>({ text })))).flat();
  const held = { writes: new Map<number, Position>(), sagas: new Map<number, Position>() };
  for (const { slot, stream, nextOffset, relayedOffset } of rows) {
    const other = held[stream].get(slot);
    if (other === undefined || other.nextOffset < nextOffset) held[stream].set(slot, { nextOffset, relayedOffset });
  }
  return held;
}

function isRelayed(held: OfStreams<ReadonlyMap<number, Position>>): boolean {
  return STREAMS.every((stream) => [...held[stream].values()].every(({ nextOffset, relayedOffset }) => relayedOffset === nextOffset));
}

/** Sagas that have not ended, and their records that wait for an operator. */
async function countOpen(shardIds: readonly ShardId[], shards: (id: ShardId) => Database, signal: AbortSignal): Promise<bigint> {
  signal.throwIfAborted();
  const text = `select (select count(*) from saga join slot using (slot)
                        where saga.state in ('reserving', 'confirming', 'undoing') and slot.state in ('ACTIVE', 'MOVING'))
                     + (select count(*) from parked join slot using (slot)
                        where slot.state in ('ACTIVE', 'MOVING') and (stream = 'sagas' or position($1::bytea in value) > 0)) as open`;
  const counts = await Promise.all(shardIds.map((shard) => shards(shard).query<{ readonly open: bigint }>({ text, values: [INTERNAL_KEY_BYTES] })));
  return counts.flat().reduce((sum, { open }) => sum + open, 0n);
}

function isSame(a: Ends, b: Ends): boolean {
  return STREAMS.every((stream) => a[stream].every(({ high }, index) => high === b[stream][index]?.high));
}
