import { OPEN_SAGA_STATES, SAGA_STATES } from '@millrace/domain';
import type { Database } from '@millrace/postgres';
import { RELEASE_TYPE } from '@millrace/wire';
import type { ShardId } from '@millrace/write';

export type SlotState = 'INCOMING' | 'ACTIVE' | 'MOVING' | 'MOVED' | 'ABORTED';

/** What every read learns of the slot it reads in, in the same snapshot as the data. */
export interface SlotRow {
  readonly slot_state: SlotState | null;
  readonly moved_to: ShardId | null;
  /** The position of stream `writes`. */
  readonly next_offset: bigint | null;
}

/** True where this shard holds the slot (W2); the position then stands beside it. */
export function holdsSlot(row: SlotRow | undefined): row is SlotRow & { readonly next_offset: bigint } {
  return (row?.slot_state === 'ACTIVE' || row?.slot_state === 'MOVING') && row.next_offset !== null;
}

/** The slot's row, where the shard knows the slot. */
export async function readPosition(shard: Database, slot: number): Promise<SlotRow | undefined> {
  const rows = await shard.query<SlotRow>({
    name: 'gateway-position',
    text: `
      select s.state as slot_state, s.moved_to, p.next_offset
      from slot s
      left join position p on p.slot = s.slot and p.stream = 'writes'
      where s.slot = $1`,
    values: [slot],
  });
  return rows[0];
}

/** A slot that is watched. */
export interface WatchedSlot {
  readonly slot: number;
  /** From which offset of stream `sagas` on somebody waits for word; null where nobody does. */
  readonly from: bigint | null;
}

export interface Progress extends SlotRow {
  readonly slot: number;
  /** Up to this offset of stream `sagas`, itself excluded, was looked through. */
  readonly looked_to: bigint | null;
  /** Keys of sagas that were started, moved to another state, refused something, or that are parked. */
  readonly told: readonly string[] | null;
  /** Those of them that ended, refused something, or are parked: nothing more may come. */
  readonly ended: readonly string[] | null;
}

/** Rows of a slot that one look goes through, so that it stays small behind an outage. */
const LOOK_ROWS_MAX = 250;

const ENDS = SAGA_STATES.filter((state) => !OPEN_SAGA_STATES.some((open) => open === state))
  .map((state) => `'${state}'`)
  .join(', ');

/**
 * One row for each of the slots that the shard knows: how far it is, and which keys its sagas told something of.
 *
 * It costs what was applied since the last look, however many wait: the journal is a feed, and each of its rows is seen
 * once. The order and the limit keep the look on the primary key, whatever the statistics say.
 */
export function readProgress(shard: Database, slots: readonly WatchedSlot[]): Promise<readonly Progress[]> {
  return shard.query({
    name: 'gateway-progress',
    text: `
      select s.slot, s.state as slot_state, s.moved_to, p.next_offset,
             case when t.seen = ${LOOK_ROWS_MAX} then t.last + 1 else greatest(q.next_offset, w.since) end as looked_to,
             array_cat(t.told, k.keys) as told, array_cat(t.ended, k.keys) as ended
      from unnest($1::int[], $2::bigint[]) as w(slot, since)
      join slot s on s.slot = w.slot
      left join position p on p.slot = w.slot and p.stream = 'writes'
      left join position q on q.slot = w.slot and q.stream = 'sagas'
      left join lateral (
        select count(*) as seen, max(j."offset") as last,
               array_agg(j.key) filter (where j.detail is not null) as told,
               array_agg(j.key) filter (where j.outcome = 'refused' or j.type = '${RELEASE_TYPE}' or j.detail ->> 'state' in (${ENDS})) as ended
        from (
          select r."offset", r.key, r.outcome, r.type, r.detail
          from journal r where r.slot = w.slot and r.stream = 'sagas' and r."offset" >= w.since
          order by r."offset" limit ${LOOK_ROWS_MAX}
        ) j
      ) t on w.since is not null
      left join lateral (
        select array_agg(r.key) as keys
        from (
          select r.key from parked r where r.slot = w.slot and r.stream = 'sagas' and r."offset" >= w.since
          order by r."offset" limit ${LOOK_ROWS_MAX}
        ) r
      ) k on w.since is not null`,
    values: [slots.map(({ slot }) => slot), slots.map(({ from }) => from?.toString() ?? null)],
  });
}
