/** What the admin API asks a shard: little of it, by the right index, and nothing but questions. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startPostgres, type Postgres } from '@millrace/local-cluster';
import { createDatabase, type Database } from '@millrace/postgres';
import { createLog } from '@millrace/runtime';
import { begin, rowOf, type Part } from '@millrace/saga';
import { prepareShard, SHARD_POOL } from '@millrace/slot-processor';
import type { RoutingKey, ShardId, Slot } from '@millrace/write';
import { ASKING_POOL } from '../../services/saga-orchestrator/src/limits.ts';
import { listSagas, type SummaryRow, type Wanted } from '../../services/saga-orchestrator/src/sagas/read.sql.ts';

const slot = 0 as Slot;
const ALL: Wanted = { states: undefined, kind: undefined, startedBeforeMs: Number.MAX_SAFE_INTEGER, behind: undefined, limit: 500, namedMax: 5 };
const log = createLog({ name: 'test', level: 'silent' });
const dir = mkdtempSync(join(tmpdir(), 'millrace-saga-reads-'));
let server: Postgres;
let shard: Database;
let asking: Database;

beforeAll(async () => {
  server = await startPostgres({ dir, durable: false });
  shard = createDatabase({ ...SHARD_POOL, name: 'a', url: server.url, applicationName: 'saga-reads-test', log });
  asking = createDatabase({ ...ASKING_POOL, name: 'a', url: server.url, applicationName: 'saga-reads-test', log });
  await prepareShard({ database: shard, identity: { clusterId: '00000000-0000-0000-0000-000000000001', shard: 'a' as ShardId, slots: 1 }, log });
});
afterAll(async () => {
  await Promise.all([shard?.end(), asking?.end()]);
  await server?.stop();
  rmSync(dir, { recursive: true, force: true });
});

const many = (count: number): readonly Part[] => Array.from({ length: count }, (_, n) => ({ kind: 'stock', id: `sku-${n}`, direction: 'out', quantity: 1 }) as const);

test('a list costs little, however large the sagas are', async () => {
  const { next } = begin({ kind: 'order', parts: many(1_000), dueMs: 2 }, 1);
  for (let n = 0; n < 10; n += 1) {
    const row = rowOf({ key: `demo/large-${n}` as RoutingKey, saga: 'order' }, next);
    await shard.query({
      text: 'insert into saga (slot, key, saga, state, body, due_ms, started_ms, changed_ms) values ($1, $2, $3, $4, $5, $6, $7, $8)',
      values: [slot, row.key, row.saga, row.state, JSON.stringify(row.body), row.due_ms, row.started_ms, row.changed_ms],
    });
  }
  const rows = await asking.query<SummaryRow>(listSagas([slot], ALL));
  expect(rows.map(({ parts, waiting }) => ({ parts, waiting }))).toEqual(Array.from({ length: 10 }, () => ({ parts: many(5), waiting: 1_000 })));
  expect(JSON.stringify(rows, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value)).length / rows.length).toBeLessThan(1_000);
});

test.each([['all that are open', undefined], ['one open state', ['reserving']], ['several open states', ['undoing', 'confirming']]] as const)('a list of %s goes by the index of open sagas, also where the planner does not see the states', async (_, states) => {
  const { text } = listSagas([slot], { ...ALL, states });
  const plan = await asking.transaction(async (tx) => {
    await tx.query({ text: 'set local enable_seqscan = off' });
    return tx.query<Record<string, string>>({ text: `explain (generic_plan) ${text}` });
  });
  expect(plan.map((line) => Object.values(line)[0]).join('\n')).toMatch(/Scan.* saga_open/);
});

test('the API can write nothing, whatever it asks', async () => {
  await expect(asking.query({ text: 'delete from saga' })).rejects.toMatchObject({ sqlState: '25006' });
});
