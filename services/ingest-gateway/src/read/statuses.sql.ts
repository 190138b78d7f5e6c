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

/** One row for each receipt, in any order. */
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
      left join journal o on o.slot = w.slot and o.stream = 'writes' and o."offset" = w."offset"
                         and (o.digest is null or o.digest = w.digest)
      left join journal d on d.slot = w.slot and d.stream = 'writes' and d.digest = w.digest
      left join parked k on k.slot = w.slot and k.stream = 'writes' and k."offset" = w."offset"`,
    values: [receipts.map(({ slot }) => slot), receipts.map(({ offset }) => offset.toString()), receipts.map(({ digest }) => digest)],
  });
}
