/** Where the cluster stands at one moment: per slot, the end of the log and how far its shard has applied it. */
import { topicOffsets } from '@millrace/kafka';
import { topicNames } from '@millrace/wire';
import type { ShardId, Slot } from '@millrace/write';

import type { Connections } from './connect.ts';
import { COUNT_PARKED, newestApplied, SLOT_POSITIONS, SLOT_STATES, type SlotPosition } from './positions.sql.ts';

export interface SlotStanding {
  readonly slot: Slot;
  readonly shard: ShardId;
  readonly state: string;
  readonly position: bigint;
  readonly relayed: bigint;
  /** The end of the log. */
  readonly end: bigint;
  readonly lagRecords: bigint;
  /** Of a slot that lags: how long ago Kafka took the newest record that is applied; 0 for one that does not. */
  readonly lagSeconds: number;
}

export type SlotState = 'INCOMING' | 'ACTIVE' | 'MOVING' | 'MOVED' | 'ABORTED';

export interface ShardStanding {
  readonly shard: ShardId;
  /** Why the shard could not be asked. Its slots are then unknown, which is not the same as none. */
  readonly problem?: string;
  /** The slots that it holds. */
  readonly slots: readonly SlotStanding[];
  /** Its slot rows by state: MOVING ones leave, INCOMING ones come, MOVED ones are signposts. */
  readonly states: Readonly<Record<SlotState, number>>;
  readonly parkedKeys: bigint;
  readonly parkedRecords: bigint;
}

export interface Standing {
  readonly shards: readonly ShardStanding[];
  /** Every slot that is held, once. */
  readonly slots: readonly SlotStanding[];
  /** Slots that no shard which answered holds: between fence and activation of a move, or on a silent shard. */
  readonly unheld: number;
}

export interface Totals {
  readonly end: bigint;
  readonly applied: bigint;
  readonly lagRecords: bigint;
  readonly lagSeconds: number;
}

/** The standing of every shard in the file of shards. A shard that does not answer is reported, not thrown. */
export async function standingOf({ kafka, shards, topicPrefix }: Connections): Promise<Standing> {
  // Positions first: a lag is then never negative.
  const shardIds = shards.ids();
  const asked = await Promise.allSettled(shardIds.map((id) => askShard(shards, id)));
  const ends = new Map((await topicOffsets({ kafka, topic: topicNames(topicPrefix).writes })).map((one) => [one.slot, one.high]));
  const standings = shardIds.map((shard, index): ShardStanding => {
    const answer = asked[index];
    if (answer?.status !== 'fulfilled') {
      return { shard, problem: String(answer?.reason), slots: [], states: NO_SLOTS, parkedKeys: 0n, parkedRecords: 0n };
    }
    const { positions, states, appliedAtMs, parked } = answer.value;
    const slots = positions.map((row) => slotStanding(shard, row, ends.get(row.slot) ?? 0n, appliedAtMs.get(row.slot)));
    return { shard, slots, states, parkedKeys: parked.keys, parkedRecords: parked.records };
  });
  return together(standings, ends.size);
}

/**
 * What the shards say, together; `slots` is S. Two shards that were asked before and after a fence both seem to hold
 * the slot: the one that is further does.
 */
export function together(shards: readonly ShardStanding[], slots: number): Standing {
  const held = new Map<Slot, SlotStanding>();
  for (const one of shards.flatMap((shard) => shard.slots)) {
    const other = held.get(one.slot);
    if (other === undefined || other.position <= one.position) held.set(one.slot, one);
  }
  return { shards, slots: [...held.values()], unheld: Math.max(0, slots - held.size) };
}

export function totalsOf(slots: readonly SlotStanding[]): Totals {
  const sum = (of: (slot: SlotStanding) => bigint): bigint => slots.reduce((total, slot) => total + of(slot), 0n);
  return {
    end: sum((slot) => slot.end),
    applied: sum((slot) => slot.position),
    lagRecords: sum((slot) => slot.lagRecords),
    lagSeconds: Math.max(0, ...slots.map((slot) => slot.lagSeconds)),
  };
}

export const NO_SLOTS: ShardStanding['states'] = { INCOMING: 0, ACTIVE: 0, MOVING: 0, MOVED: 0, ABORTED: 0 };

interface ShardAnswer {
  readonly states: ShardStanding['states'];
  readonly positions: readonly SlotPosition[];
  readonly appliedAtMs: ReadonlyMap<Slot, bigint>;
  readonly parked: { readonly keys: bigint; readonly records: bigint };
}

async function askShard(shards: Connections['shards'], id: ShardId): Promise<ShardAnswer> {
  const database = shards.get(id);
  const positions = await database.query<SlotPosition>(SLOT_POSITIONS);
  const states = await database.query<{ state: SlotState; slots: number }>(SLOT_STATES);
  const slots = positions.map((row) => row.slot);
  const newest = await database.query<{ slot: Slot; at_ms: bigint }>(newestApplied(slots));
  const [parked = { keys: 0n, records: 0n }] = await database.query<ShardAnswer['parked']>(COUNT_PARKED);
  return { positions, states: { ...NO_SLOTS, ...Object.fromEntries(states.map((row) => [row.state, row.slots])) }, appliedAtMs: new Map(newest.map((row) => [row.slot, row.at_ms])), parked };
}

function slotStanding(shard: ShardId, row: SlotPosition, logEnd: bigint, appliedAtMs: bigint | undefined): SlotStanding {
  const end = logEnd > row.next_offset ? logEnd : row.next_offset;
  const lagRecords = end - row.next_offset;
  const ageSeconds = appliedAtMs === undefined ? 0 : (Date.now() - Number(appliedAtMs)) / 1000;
  return {
    slot: row.slot,
    shard,
    state: row.state,
    position: row.next_offset,
    relayed: row.relayed_offset,
    end,
    lagRecords,
    lagSeconds: lagRecords === 0n ? 0 : Math.max(0, Math.round(ageSeconds * 10) / 10),
  };
}
