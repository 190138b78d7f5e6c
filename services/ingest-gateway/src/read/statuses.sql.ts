import type { SagaStateName } from '@millrace/domain';
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
  /** What became of it in stream `sagas`; the rest of it is null where the write sent nothing there. */
  readonly goes_on: boolean;
  /** The position of stream `sagas`. */
  readonly sagas_offset: bigint;
  /** Whether the saga took what the write asked for; null where it has not answered. */
  readonly answer: 'applied' | 'refused' | null;
  readonly answer_detail: unknown;
  /** Of the saga that took it. */
  readonly saga_state: SagaStateName | null;
  readonly saga_cause: { readonly code: string; readonly detail?: unknown } | null;
  /** Why records of its key wait in stream `sagas`; null where none do. */
  readonly stuck: string | null;
}

/**
 * The digest of the message that a write sends to the saga of its key: `digestOf(key, followUpKey(offset))`, in the
 * statement itself, because only its own snapshot knows the offset of the write that a receipt repeats.
 */
const FOLLOW_UP = `encode(substring(sha256(convert_to(w1.key, 'UTF8') || '\\x0001'::bytea || convert_to('from/' || w1."offset", 'UTF8')) from 1 for 16), 'hex')::uuid`;

/** One row for each receipt, in any order; each look goes through one index, whatever the statistics say. */
export function readStatuses(shard: Database, receipts: readonly Receipt[]): Promise<readonly StatusRow[]> {
  return shard.query({
    name: 'gateway-statuses',
    text: `
      select w.n, s.state as slot_state, s.moved_to, p.next_offset,
             w1.outcome,
             coalesce(w1.key, k.key) as key,
             w1.type,
             w1.detail,
             coalesce(w1.at_ms, k.at_ms) as at_ms,
             w1.slot is null and k.slot is not null as parked,
             k.reason,
             w1.messages is not null as goes_on,
             coalesce(q.next_offset, 0) as sagas_offset,
             a.outcome as answer,
             a.detail as answer_detail,
             g.state as saga_state,
             g.cause as saga_cause,
             h.reason as stuck
      from unnest($1::int[], $2::bigint[], $3::uuid[]) with ordinality as w(slot, "offset", digest, n)
      left join slot s on s.slot = w.slot
      left join position p on p.slot = w.slot and p.stream = 'writes'
      left join position q on q.slot = w.slot and q.stream = 'sagas'
      left join lateral (
        select * from journal j where j.slot = w.slot and j.stream = 'writes' and j."offset" = w."offset"
                                  and (j.digest is null or j.digest = w.digest) limit 1
      ) o on true
      left join lateral (
        select * from journal j where o.slot is null and j.digest = w.digest and j.slot + 0 = w.slot and j.stream::text = 'writes' limit 1
      ) d on true
      left join lateral (
        select o.slot, o."offset", o.outcome, o.key, o.type, o.detail, o.at_ms, o.messages where o.slot is not null
        union all
        select d.slot, d."offset", d.outcome, d.key, d.type, d.detail, d.at_ms, d.messages where d.slot is not null
      ) w1 on true
      left join lateral (
        select * from parked j where j.slot = w.slot and j.stream = 'writes' and j."offset" = w."offset" limit 1
      ) k on true
      left join lateral (
        select * from journal j where w1.messages is not null
                                  and j.digest = ${FOLLOW_UP} and j.slot + 0 = w.slot and j.stream::text = 'sagas' limit 1
      ) a on true
      left join lateral (
        select g.state, g.body -> 'cause' as cause from saga g where g.slot = w.slot and g.key = w1.key and g.saga = a.detail ->> 'saga' limit 1
      ) g on true
      left join lateral (
        select j.reason from parked j where w1.messages is not null and j.slot = w.slot and j.stream = 'sagas' and j.key = w1.key order by j."offset" limit 1
      ) h on true`,
    values: [receipts.map(({ slot }) => slot), receipts.map(({ offset }) => offset.toString()), receipts.map(({ digest }) => digest)],
  });
}
