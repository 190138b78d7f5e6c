/**
 * Orders and transfers with what their sagas made of them: rows of both streams in one statement, so in one snapshot.
 */
import type { OrderRow, SagaRow } from '@millrace/domain';
import type { Database } from '@millrace/postgres';
import type { RoutingKey, Slot } from '@millrace/write';
import type { Found } from './entities.sql.ts';

/** What a saga's row says of itself, as `sagaOf` reads it. */
export type SagaColumns = Pick<SagaRow, 'saga' | 'state' | 'body'>;

export interface OrderSagas {
  /** Null until the order's saga has begun. */
  readonly saga_state: SagaRow['state'] | null;
  readonly saga_body: object | null;
  /** The last returns, in the order of their start. */
  readonly returns: readonly SagaColumns[];
  /** Of all returns, also those that are left out; where there are more than are counted, that many. */
  readonly returns_count: bigint;
}

/** Bounds one answer, and what is looked at for it: the last returns, as many as keep within both, but at least one. */
export interface ReturnLimits {
  readonly returnsMax: number;
  readonly returnLinesMax: number;
  readonly returnsCountedMax: number;
}

/** In the words of the index `saga_returns`, which has them in the order of their start; the last are read, however many there are. */
const RETURNS = `from saga c where c.slot = o.slot and c.key = o.key and c.saga >= 'return/' and c.saga < 'return0'`;

export async function readOrder(shard: Database, slot: Slot, key: RoutingKey, limits: ReturnLimits): Promise<Found<OrderRow & OrderSagas> | undefined> {
  const rows = await shard.query<Found<OrderRow & OrderSagas>>({
    name: 'gateway-order',
    text: `
      select s.state as slot_state, s.moved_to, p.next_offset, o.key is not null as found,
             o.key, o.account, o.currency, o.total, o.lines, g.state as saga_state, g.body as saga_body, r.returns,
             (select count(*) from (select ${RETURNS} limit $5) c) as returns_count
      from slot s
      left join position p on p.slot = s.slot and p.stream = 'writes'
      left join orders o on o.slot = s.slot and o.key = $2
      left join saga g on g.slot = o.slot and g.key = o.key and g.saga = 'order'
      cross join lateral (
        select coalesce(jsonb_agg(jsonb_build_object('saga', n.saga, 'state', n.state, 'body', n.body) order by n.nth desc), '[]') as returns
        from (
          select l.*, sum(jsonb_array_length(l.body -> 'parts') - 1) over (order by l.nth) as lines
          from (
            select b.*, row_number() over (order by b.started_ms desc, length(b.saga) desc, b.saga desc) as nth
            from (select c.saga, c.state, c.body, c.started_ms ${RETURNS} order by c.started_ms desc, length(c.saga) desc, c.saga desc limit $3) b
          ) l
        ) n
        where n.nth = 1 or n.lines <= $4
      ) r
      where s.slot = $1`,
    values: [slot, key, limits.returnsMax, limits.returnLinesMax, limits.returnsCountedMax],
  });
  return rows[0];
}

/** A transfer is its saga: it is there once that has begun. */
export async function readTransfer(shard: Database, slot: Slot, key: RoutingKey): Promise<Found<SagaColumns> | undefined> {
  const rows = await shard.query<Found<SagaColumns>>({
    name: 'gateway-transfer',
    text: `
      select s.state as slot_state, s.moved_to, p.next_offset, g.key is not null as found, g.saga, g.state, g.body
      from slot s
      left join position p on p.slot = s.slot and p.stream = 'writes'
      left join saga g on g.slot = s.slot and g.key = $2 and g.saga = 'transfer'
      where s.slot = $1`,
    values: [slot, key],
  });
  return rows[0];
}
