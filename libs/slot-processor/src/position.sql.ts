/** The position rows: the lock that makes one writer win, and the proof of what was applied (W1, W3). */
import type { Sql } from '@millrace/postgres';
import type { Offset, ShardId, Slot, Stream } from '@millrace/write';

export interface PositionRow {
  readonly slot: Slot;
  readonly next_offset: Offset;
  readonly relayed_offset: Offset;
}

export interface SlotRow {
  readonly slot: Slot;
  readonly state: 'INCOMING' | 'ACTIVE' | 'MOVING' | 'MOVED' | 'ABORTED';
  readonly moved_to: ShardId | null;
  /** For how long the slot is still held, in milliseconds by the server's clock, a second at most; null where it is not. */
  readonly held_ms: number | null;
  /** Keys of the stream with parked records in this slot. */
  readonly parked_keys: readonly string[];
}

/** One look into the index for each parked key, however many records wait behind it. */
const PARKED_KEYS = `
  with recursive k as (
    (select p.key from parked p where p.slot = s.slot and p.stream = $1 order by p.key limit 1)
    union all
    select (select p.key from parked p where p.slot = s.slot and p.stream = $1 and p.key > k.key order by p.key limit 1)
    from k where k.key is not null
  )
  select key from k where key is not null`;

/** Locks in slot order, so that two turns never wait for each other in a circle. */
export function lockPositions(stream: Stream, slots: readonly Slot[]): Sql {
  return {
    name: 'position-lock',
    text: `select slot, next_offset, relayed_offset from position
           where stream = $1 and slot = any($2::int[]) order by slot for update`,
    values: [stream, slots],
  };
}

/** A statement of its own after the lock: in one statement with it, a state changed by whoever held the lock is missed. */
export function readSlots(stream: Stream, slots: readonly Slot[]): Sql {
  return {
    name: 'slot-read',
    text: `select s.slot, s.state, s.moved_to,
                  case when s.held_until > clock_timestamp()
                       then least(ceil(extract(epoch from s.held_until - clock_timestamp()) * 1000), 1000)::int end as held_ms,
                  array(${PARKED_KEYS}) as parked_keys
           from slot s where s.slot = any($2::int[])`,
    values: [stream, slots],
  };
}

export interface NextPosition {
  readonly slot: Slot;
  readonly next: Offset;
  readonly relayed: Offset;
}

/** `relayed` is a hint and may come late: it never goes back and never passes `next`. */
export function advancePositions(stream: Stream, positions: readonly NextPosition[]): Sql {
  return {
    name: 'position-advance',
    text: `update position p
           set next_offset = u.next, relayed_offset = least(greatest(p.relayed_offset, u.relayed), u.next)
           from unnest($2::int[], $3::bigint[], $4::bigint[]) as u(slot, next, relayed)
           where p.stream = $1 and p.slot = u.slot`,
    values: [stream, positions.map((p) => p.slot), positions.map((p) => p.next), positions.map((p) => p.relayed)],
  };
}

/** Saves relay positions alone, where no turn holds them: it writes them too. */
export function saveRelayed(stream: Stream, relayed: readonly { readonly slot: Slot; readonly offset: Offset }[]): Sql {
  return {
    name: 'position-relayed',
    text: `with free as (
             select slot from position where stream = $1 and slot = any($2::int[]) order by slot for update skip locked
           )
           update position p set relayed_offset = greatest(p.relayed_offset, least(u.relayed, p.next_offset))
           from unnest($2::int[], $3::bigint[]) as u(slot, relayed) join free using (slot)
           where p.stream = $1 and p.slot = u.slot`,
    values: [stream, relayed.map((r) => r.slot), relayed.map((r) => r.offset)],
  };
}
