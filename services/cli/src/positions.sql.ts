/** How far the shards are with both streams, and with what has not ended. */
import { OPEN_SAGA_STATES } from '@millrace/domain';
import type { Sql } from '@millrace/postgres';
import { INTERNAL_KEY_BYTES } from '@millrace/wire';
import type { Slot, Stream } from '@millrace/write';

export interface SlotPosition {
  readonly stream: Stream;
  readonly slot: Slot;
  readonly state: string;
  readonly next_offset: bigint;
  readonly relayed_offset: bigint;
}

/** The slots that this shard applies; rows of slots that it gave away are signposts. */
export const SLOT_POSITIONS: Sql = {
  name: 'cli-slot-positions',
  text: `select p.stream, p.slot, s.state::text as state, p.next_offset, p.relayed_offset
         from position p join slot s on s.slot = p.slot
         where p.stream in ('writes', 'sagas') and s.state in ('ACTIVE', 'MOVING')
         order by p.slot`,
};

/** How many slot rows of the shard are in each state; the owner of a slot is the shard where it is ACTIVE or MOVING. */
export const SLOT_STATES: Sql = {
  name: 'cli-slot-states',
  text: `select state::text as state, count(*)::int as slots from slot group by state`,
};

/** When Kafka took the newest applied record of a stream in each of these slots, in epoch milliseconds. */
export function newestApplied(stream: Stream, slots: readonly Slot[]): Sql {
  return {
    name: 'cli-newest-applied',
    text: `select u.slot, j.at_ms
           from unnest($1::int[]) as u(slot)
           cross join lateral (
             select at_ms from journal where slot = u.slot and stream = $2 order by "offset" desc limit 1
           ) j`,
    values: [slots, stream],
  };
}

export const COUNT_PARKED: Sql = {
  name: 'cli-count-parked',
  text: `select count(*) as records, count(distinct (slot, stream, key)) as keys from parked`,
};

/** Keys of the slots that this shard holds at which a record of stream `sagas`, or a command of a saga, is parked. */
export const COUNT_PARKED_OF_SAGAS: Sql = {
  name: 'cli-count-parked-of-sagas',
  text: `select count(distinct (p.slot, p.stream, p.key))::int as keys
         from parked p join slot s on s.slot = p.slot
         where s.state in ('ACTIVE', 'MOVING') and (p.stream = 'sagas' or position($1::bytea in p.value) > 0)`,
  values: [INTERNAL_KEY_BYTES],
};

/** Sagas of the slots that this shard holds that have not ended. By the partial index on exactly these states. */
export const COUNT_OPEN_SAGAS: Sql = {
  name: 'cli-count-open-sagas',
  text: `select count(*)::int as sagas, (count(*) filter (where g.saga = 'order'))::int as orders, min(g.started_ms) as oldest_ms
         from saga g join slot s on s.slot = g.slot
         where g.state in (${OPEN_SAGA_STATES.map((state) => `'${state}'`).join(', ')}) and s.state in ('ACTIVE', 'MOVING')`,
};
