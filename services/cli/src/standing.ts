/**
 * Where the cluster stands at one moment: per slot and stream, the end of the log and how far its shard has applied it,
 * and how many sagas are open.
 */
import { topicOffsets } from '@millrace/kafka';
import type { Topology } from '@millrace/ring';
import { topicNames } from '@millrace/wire';
import { must, type ShardId, type Slot, type Stream } from '@millrace/write';

import type { Connections } from './connect.ts';
import { COUNT_OPEN_SAGAS, COUNT_PARKED, COUNT_PARKED_OF_SAGAS, newestApplied, SLOT_POSITIONS, SLOT_STATES, type SlotPosition } from './positions.sql.ts';

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
  /** The slots that it holds, in stream `writes`. */
  readonly slots: readonly SlotStanding[];
  /** The same slots in stream `sagas`. */
  readonly sagas: readonly SlotStanding[];
  readonly open: OpenSagas;
  /** Its slot rows by state: MOVING ones leave, INCOMING ones come, MOVED ones are signposts. */
  readonly states: Readonly<Record<SlotState, number>>;
  readonly parkedKeys: bigint;
  readonly parkedRecords: bigint;
}

export interface Standing {
  readonly shards: readonly ShardStanding[];
  /** Every slot that is held, once, in stream `writes`. */
  readonly slots: readonly SlotStanding[];
  /** The same in stream `sagas`. */
  readonly sagas: readonly SlotStanding[];
  /** On the shards that answered. */
  readonly open: OpenSagas;
  /** Slots that no shard which answered holds: between fence and activation of a move, or on a silent shard. */
  readonly unheld: number;
}

/** Sagas that have not ended. */
export interface OpenSagas {
  readonly orders: number;
  /** Orders, returns and transfers. */
  readonly sagas: number;
  /** The age of the oldest; 0 where none is open. */
  readonly oldestSeconds: number;
  /** Keys at which records of sagas wait for an operator: what has not begun for that is not among the open ones. */
  readonly parkedKeys: number;
}

export function isNoneOpen({ sagas, parkedKeys }: OpenSagas): boolean {
  return sagas === 0 && parkedKeys === 0;
}

export interface Totals {
  readonly end: bigint;
  readonly applied: bigint;
  readonly lagRecords: bigint;
  readonly lagSeconds: number;
  /** Records that are applied, and whose messages are perhaps not sent on yet. */
  readonly unrelayed: bigint;
}

/** The standing of every shard. One that does not answer is reported, not thrown. */
export async function standingOf({ kafka, shards, topicPrefix, topology }: Connections): Promise<Standing> {
  // Positions first: a lag is then never negative.
  const shardIds = await shardsToAsk({ shards, topology });
  const asked = await Promise.allSettled(shardIds.map((id) => askShard(shards, id)));
  const names = topicNames(topicPrefix);
  const [writes, sagas] = [await endsOf(kafka, names.writes), await endsOf(kafka, names.sagas)];
  const standings = shardIds.map((shard, index): ShardStanding => {
    const answer = asked[index];
    if (answer?.status !== 'fulfilled') {
      return { shard, problem: String(answer?.reason), slots: [], sagas: [], open: NONE_OPEN, states: NO_SLOTS, parkedKeys: 0n, parkedRecords: 0n };
    }
    const { positions, states, appliedAtMs, parked, open } = answer.value;
    const of = (stream: Stream, ends: ReadonlyMap<Slot, bigint>): readonly SlotStanding[] =>
      positions.filter((row) => row.stream === stream).map((row) => slotStanding(shard, row, ends.get(row.slot) ?? 0n, appliedAtMs[row.stream].get(row.slot)));
    return { shard, slots: of('writes', writes), sagas: of('sagas', sagas), open, states, parkedKeys: parked.keys, parkedRecords: parked.records };
  });
  return together(standings, writes.size);
}

/**
 * The shards that the file named when it was last read, and those that own a slot now: one that joined since is asked for
 * by its id, and so found. While the control database does not answer, those that are known are asked.
 */
export async function shardsToAsk({ shards, topology }: { readonly shards: Pick<Connections['shards'], 'ids'>; readonly topology: () => Promise<Pick<Topology, 'owners'>> }): Promise<readonly ShardId[]> {
  const owners = await topology().then((newest) => newest.owners, () => []);
  return [...new Set([...shards.ids(), ...owners])].sort();
}

async function endsOf(kafka: Connections['kafka'], topic: string): Promise<ReadonlyMap<Slot, bigint>> {
  return new Map((await topicOffsets({ kafka, topic })).map(({ slot, high }) => [slot, high]));
}

/**
 * What the shards say, together; `slots` is S. Two shards that were asked before and after a fence both seem to hold
 * the slot: the one that is further does.
 */
export function together(shards: readonly ShardStanding[], slots: number): Standing {
  const held = furthest(shards.flatMap((shard) => shard.slots));
  const sagas = furthest(shards.flatMap((shard) => shard.sagas));
  const open = shards.reduce(
    (sum, { open: more }) => ({
      orders: sum.orders + more.orders,
      sagas: sum.sagas + more.sagas,
      oldestSeconds: Math.max(sum.oldestSeconds, more.oldestSeconds),
      parkedKeys: sum.parkedKeys + more.parkedKeys,
    }),
    NONE_OPEN,
  );
  return { shards, slots: held, sagas, open, unheld: Math.max(0, slots - held.length) };
}

function furthest(all: readonly SlotStanding[]): readonly SlotStanding[] {
  const held = new Map<Slot, SlotStanding>();
  for (const one of all) {
    const other = held.get(one.slot);
    if (other === undefined || other.position <= one.position) held.set(one.slot, one);
  }
  return [...held.values()];
}

export function totalsOf(slots: readonly SlotStanding[]): Totals {
  const sum = (of: (slot: SlotStanding) => bigint): bigint => slots.reduce((total, slot) => total + of(slot), 0n);
  return {
    end: sum((slot) => slot.end),
    applied: sum((slot) => slot.position),
    lagRecords: sum((slot) => slot.lagRecords),
    lagSeconds: Math.max(0, ...slots.map((slot) => slot.lagSeconds)),
    unrelayed: sum((slot) => slot.position - slot.relayed),
  };
}

export const NONE_OPEN: OpenSagas = { orders: 0, sagas: 0, oldestSeconds: 0, parkedKeys: 0 };
export const NO_SLOTS: ShardStanding['states'] = { INCOMING: 0, ACTIVE: 0, MOVING: 0, MOVED: 0, ABORTED: 0 };

interface ShardAnswer {
  readonly states: ShardStanding['states'];
  readonly positions: readonly SlotPosition[];
  readonly appliedAtMs: Readonly<Record<Stream, ReadonlyMap<Slot, bigint>>>;
  readonly parked: { readonly keys: bigint; readonly records: bigint };
  readonly open: OpenSagas;
}

async function askShard(shards: Connections['shards'], id: ShardId): Promise<ShardAnswer> {
  const database = shards.get(id);
  const positions = await database.query<SlotPosition>(SLOT_POSITIONS);
  // After the positions, and before the ends of the log: where nothing lags, it counts what the positions left open.
  const open = await askOpen(database);
  const states = await database.query<{ state: SlotState; slots: number }>(SLOT_STATES);
  const newest = async (stream: Stream): Promise<ReadonlyMap<Slot, bigint>> => {
    const slots = positions.filter((row) => row.stream === stream).map((row) => row.slot);
    const rows = await database.query<{ slot: Slot; at_ms: bigint }>(newestApplied(stream, slots));
    return new Map(rows.map((row) => [row.slot, row.at_ms]));
  };
  const appliedAtMs = { writes: await newest('writes'), sagas: await newest('sagas') };
  const [parked = { keys: 0n, records: 0n }] = await database.query<ShardAnswer['parked']>(COUNT_PARKED);
  return { positions, states: { ...NO_SLOTS, ...Object.fromEntries(states.map((row) => [row.state, row.slots])) }, appliedAtMs, parked, open };
}

async function askOpen(database: ReturnType<Connections['shards']['get']>): Promise<OpenSagas> {
  const [row] = await database.query<{ sagas: number; orders: number; oldest_ms: bigint | null }>(COUNT_OPEN_SAGAS);
  const [parked] = await database.query<{ keys: number }>(COUNT_PARKED_OF_SAGAS);
  const { sagas, orders, oldest_ms: oldestMs } = must(row, 'a count is a row');
  const { keys: parkedKeys } = must(parked, 'a count is a row');
  return { sagas, orders, oldestSeconds: oldestMs === null ? 0 : Math.max(0, Math.round((Date.now() - Number(oldestMs)) / 1000)), parkedKeys };
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
