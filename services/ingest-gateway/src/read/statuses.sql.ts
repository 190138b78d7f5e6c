import type { Database } from '@millrace/postgres';
import type { Receipt } from '@millrace/write';
import type { SlotRow } from './positions.sql.ts';

/** What a shard knows of one receipt: its own journal row, else the row of the write that it repeats, else parked. */
export interface StatusRow extends SlotRow {
  /** 1 for the first receipt that was asked for. */
  readonly n: bigint;
  readonly outcome: 'applied' | 'refused' | null;
  /** The routing key of the journal row or the parked row. */
  readonly key: string | null;
  readonly type: string | null;
  readonly detail: unknown;
  readonly at_ms: bigint | null;
  readonly parked: boolean;
  readonly reason: string | null;
}

/** One row for each receipt, in any order; each look goes through one index, whatever the statistics say. */
export function readStatuses(shard: Database, receipts: readonly Receipt[]): Promise<readonly StatusRow[]> {
  return shard.query({
    name: 'gateway-statuses',
    text: `
      select w.n, s.state as slot_state, s.moved_to, p.next_offset,
             coalesce(o.outcome, d.outcome) as outcome,
             coalesce(o.key, d.key, k.key) as key,
             coalesce(o.type, d.type) as type,
             case when o.slot is not null then o.detail else d.detail end as detail,
             coalesce(o.at_ms, d.at_ms, k.at_ms) as at_ms,
             o.slot is null and d.slot is null and k.slot is not null as parked,
             k.reason
      from unnest($1::int[], $2::bigint[], $3::uuid[]) with ordinality as w(slot, "offset", digest, n)
      left join slot s on s.slot = w.slot
      left join position p on p.slot = w.slot and p.stream = 'writes'
      left join lateral (
        select * from journal j where j.slot = w.slot and j.stream = 'writes' and j."offset" = w."offset"
                                  and (j.digest is null or j.digest = w.digest) limit 1
      ) o on true
      left join lateral (
        select * from journal j where j.digest = w.digest and j.slot + 0 = w.slot and j.stream::text = 'writes' limit 1
      ) d on true
      left join lateral (
        select * from parked j where j.slot = w.slot and j.stream = 'writes' and j."offset" = w."offset" limit 1
      ) k on true`,
    values: [receipts.map(({ slot }) => slot), receipts.map(({ offset }) => offset.toString()), receipts.map(({ digest }) => digest)],
  });
}
