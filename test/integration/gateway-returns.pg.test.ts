/** The returns that the gateway shows of an order, on a real shard: how many, in which order, and what is read for them. */
import { describe, expect, test } from '@jest/globals';
import type { Database, Sql } from '@millrace/postgres';
import { rowOf, type Saga } from '@millrace/saga';
import { limits } from '../../services/ingest-gateway/src/limits.ts';
import { readOrder } from '../../services/ingest-gateway/src/read/orders.sql.ts';
import { A, AT_MS, done, entity, get, open, putSaga, shards, useReads, type Entity } from './followed-sagas.ts';

useReads();

describe('the returns of an order', () => {
  const returned = (lines: number, atMs: number): Saga => ({
    ...done,
    kind: 'return',
    history: [{ state: 'reserving', at_ms: atMs }],
    parts: [{ kind: 'account', id: 'acc', direction: 'in', amount: '1.00', currency: 'GBP' }, ...Array.from({ length: lines }, (_, n) => ({ kind: 'stock', id: `s${n}`, direction: 'in', quantity: 1 }) as const)],
  });
  const shown = async ({ id }: Entity): Promise<{ readonly ids: readonly unknown[]; readonly leftOut: unknown }> => {
    const { json } = await get(`/v1/orders/${id}`);
    return { ids: (json['returns'] as { return: string }[]).map((each) => each.return), leftOut: json['returns_left_out'] };
  };

  test('are shown in the order of their start; of many the last hundred', async () => {
    const one = entity();
    await open(one);
    await shards.get(A).transaction(async (tx) => {
      for (let n = 0; n < 100; n += 1) await putSaga(tx, one, `return/r${n}`, returned(1, AT_MS + Math.floor(n / 30)));
    });
    const all = Array.from({ length: 100 }, (_, n) => `r${n}`);
    expect(await shown(one)).toEqual({ ids: all, leftOut: undefined });
    await shards.get(A).transaction(async (tx) => {
      for (let n = 100; n < 130; n += 1) await putSaga(tx, one, `return/r${n}`, returned(1, AT_MS + 10));
    });
    expect(await shown(one)).toEqual({ ids: [...all.slice(30), ...Array.from({ length: 30 }, (_, n) => `r${100 + n}`)], leftOut: 30 });
  });

  test('are bounded by their lines too, and one is always shown', async () => {
    const one = entity();
    await open(one);
    await shards.get(A).transaction(async (tx) => {
      for (let n = 0; n < 3; n += 1) await putSaga(tx, one, `return/r${n}`, returned(1_000, AT_MS + n));
    });
    expect(await shown(one)).toEqual({ ids: ['r1', 'r2'], leftOut: 1 });
    await shards.get(A).transaction((tx) => putSaga(tx, one, 'return/r3', returned(limits.returnLinesMax + 1, AT_MS + 3)));
    expect(await shown(one)).toEqual({ ids: ['r3'], leftOut: 3 });
  });

  test('are not read beyond what is shown and counted, however many there are and whatever the planner believes of them', async () => {
    const one = entity();
    await open(one);
    const row = rowOf({ key: one.key, saga: 'return/r0' }, returned(1, AT_MS));
    await shards.get(A).query({
      text: `insert into saga (slot, key, saga, state, body, started_ms, changed_ms)
             select $1, $2, 'return/r' || (7919 * n % 3000), $3, $4, $5::bigint + n, 0 from generate_series(0, 2999) n`,
      values: [one.slot, one.key, row.state, JSON.stringify(row.body), AT_MS],
    });
    const last = Array.from({ length: limits.returnsMax }, (_, n) => `r${(7919 * (3_000 - limits.returnsMax + n)) % 3_000}`);
    const asked: Sql[] = [];
    const spy = { ...shards.get(A), query: (sql: Sql) => (asked.push(sql), Promise.resolve([])) } as Database;
    await readOrder(spy, one.slot, one.key, limits);
    const { text, values } = asked[0]!;
    for (const before of ['select 1', 'analyze saga']) {
      await shards.get(A).query({ text: before });
      expect(await shown(one)).toEqual({ ids: last, leftOut: limits.returnsCountedMax - limits.returnsMax });
      const [plan] = await shards.get(A).query<{ 'QUERY PLAN': object }>({ text: `explain (analyze, format json) ${text}`, values });
      const read = [...JSON.stringify(plan).matchAll(/"Relation Name":"saga".*?"Actual Rows":(\d+)/g)].map(([, rows]) => Number(rows));
      expect(Math.max(...read)).toBe(limits.returnsCountedMax);
      expect(read.filter((rows) => rows === limits.returnsMax)).toHaveLength(1);
    }
  });
});
