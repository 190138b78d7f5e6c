/** Why a saga does not get on, where that can be told: whom it waits for is parked, or on a shard that does not answer. */
import { slotOf } from '@millrace/ring';
import type { Part } from '@millrace/saga';
import { must, routingKey, tenantOf, type ShardId } from '@millrace/write';
import { askEach, type AskInput, type Reach } from './ask.ts';
import { readParkedHeads, type KeyOf, type ParkedHead } from './read.sql.ts';

export interface Obstacle {
  readonly reason: 'key_parked' | 'shard_silent';
  readonly detail: string;
}

/** A saga that has not ended, by the key under which it stands, and the parts of it that are looked at. */
export interface Open {
  readonly key: string;
  readonly waitsFor: readonly Part[];
}

export interface Obstacles {
  /** Of its own key in stream `sagas`: replies and timers wait behind it. */
  ofSaga(key: string): Obstacle | undefined;
  ofPart(key: string, part: Part): { readonly shard: ShardId | undefined; readonly obstacle: Obstacle | undefined };
}

/** Looks at the keys that these sagas wait for, once. */
export async function findObstacles({ shards, topology }: AskInput, { holders, silent }: Reach, sagas: readonly Open[]): Promise<Obstacles> {
  const { slots, owners } = topology.current();
  const placed = (stream: KeyOf['stream'], key: string): KeyOf => ({ stream, key, slot: slotOf(key, slots) });
  const keys = new Map<string, KeyOf>();
  for (const { key, waitsFor } of sagas) {
    for (const wanted of [placed('sagas', key), ...waitsFor.map((part) => placed('writes', keyOfPart(key, part)))]) keys.set(nameOf(wanted), wanted);
  }
  const byShard = Map.groupBy([...keys.values()].filter(({ slot }) => holders.has(slot)), ({ slot }) => must(holders.get(slot), 'the slot has a holder'));
  const heads = await askEach(shards, byShard.keys(), (shard, database) => database.query<ParkedHead>(readParkedHeads(byShard.get(shard) ?? [])));
  const parked = new Map([...heads.answers.values()].flat().map((head) => [nameOf(head), head]));

  function obstacleOf(wanted: KeyOf): { readonly shard: ShardId | undefined; readonly obstacle: Obstacle | undefined } {
    const holder = holders.get(wanted.slot);
    const shard = holder ?? owners[wanted.slot];
    const why = shard && (heads.silent.get(shard) ?? (holder === undefined ? (silent.get(shard) ?? 'no shard applies the slot now') : undefined));
    if (why !== undefined) return { shard, obstacle: { reason: 'shard_silent', detail: why } };
    const head = parked.get(nameOf(wanted));
    return { shard, obstacle: head && { reason: 'key_parked', detail: `${head.key} in stream ${head.stream}, slot ${head.slot}, offset ${head.offset}: ${head.reason}` } };
  }

  return {
    ofSaga: (key) => obstacleOf(placed('sagas', key)).obstacle,
    ofPart: (key, part) => obstacleOf(placed('writes', keyOfPart(key, part))),
  };
}

/** The routing key of a participant: of the same tenant. */
function keyOfPart(key: string, { id }: Part): string {
  return routingKey(must(tenantOf(key), 'a saga has a tenant'), id);
}

function nameOf({ slot, stream, key }: KeyOf): string {
  return `${slot} ${stream} ${key}`;
}
