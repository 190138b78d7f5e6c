/** How far the shards are with stream `writes`. */
import type { Sql } from '@millrace/postgres';
import type { Slot } from '@millrace/write';

export interface SlotPosition {
  readonly slot: Slot;
  readonly state: string;
  readonly next_offset: bigint;
  readonly relayed_offset: bigint;
}

/** The slots that this shard applies; rows of slots that it gave away are signposts. */
export const SLOT_POSITIONS: Sql = {
  name: 'cli-slot-positions',
  text: `select p.slot, s.state::text as state, p.next_offset, p.relayed_offset
         from position p join slot s on s.slot = p.slot
         where p.stream = 'writes' and s.state in ('ACTIVE', 'MOVING')
         order by p.slot`,
};

/** How many slot rows of the shard are in each state; the owner of a slot is the shard where it is ACTIVE or MOVING. */
export const SLOT_STATES: Sql = {
  name: 'cli-slot-states',
  text: `select state::text as state, count(*)::int as slots from slot group by state`,
};

/** When Kafka took the newest applied record of each of these slots, in epoch milliseconds. */
export function newestApplied(slots: readonly Slot[]): Sql {
  return {
    name: 'cli-newest-applied',
    text: `select u.slot, j.at_ms
           from unnest($1::int[]) as u(slot)
           cross join lateral (
             select at_ms from journal where slot = u.slot and stream = 'writes' order by "offset" desc limit 1
           ) j`,
    values: [slots],
  };
}

export const COUNT_PARKED: Sql = {
  name: 'cli-count-parked',
  text: `select count(*) as records, count(distinct (slot, stream, key)) as keys from parked`,
};
