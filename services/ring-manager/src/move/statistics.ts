/** How many rows and bytes each slot of a shard has, about: for the estimate of a plan. */
import type { Database } from '@millrace/postgres';
import { slotTables } from '@millrace/slot-processor';
import type { SlotStatistics } from './types.ts';

/**
 * Estimates from what the shard knows without reading its rows: the sizes of the tables, shared out by the positions of
 * the slots that it applies. A slot whose keys have larger rows than others' is off by as much.
 */
export async function slotStatistics(database: Database): Promise<readonly SlotStatistics[]> {
  return database.query<SlotStatistics>({
    text: `with own as (
             select s.slot, sum(p.next_offset) as applied
             from slot s join position p using (slot) where s.state in ('ACTIVE', 'MOVING') group by s.slot
           ), size as (
             select sum(greatest(c.reltuples, 0))::float8 as rows, sum(pg_total_relation_size(c.oid))::float8 as bytes
             from pg_class c where c.oid = any(array(select to_regclass(quote_ident(n)) from unnest($1::text[]) n))
           ), total as (select greatest(sum(applied), 1) as applied from own)
           select own.slot,
                  -- Before the first analyze a table tells of no rows: then those that the journal must have.
                  greatest(size.rows * (own.applied / total.applied)::float8, case when size.rows = 0 then own.applied else 0 end)::bigint as rows,
                  case when own.applied = 0 then 0 else size.bytes * (own.applied / total.applied)::float8 end::bigint as bytes
           from own cross join size cross join total order by own.slot`,
    values: [slotTables.map(({ name }) => name)],
  });
}
