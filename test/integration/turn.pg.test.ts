/** A turn against a real shard, and another process that holds the position. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startPostgres, type Postgres } from '@millrace/local-cluster';
import { createDatabase, type Database } from '@millrace/postgres';
import { slotOf } from '@millrace/ring';
import { createLog } from '@millrace/runtime';
import { prepareShard, seedSlots } from '@millrace/slot-processor';
import { until } from '@millrace/testkit';
import { encodeWrite } from '@millrace/wire';
import type { Epoch, Offset, ShardId } from '@millrace/write';
import { sliceOf } from '../../libs/slot-processor/src/slices.ts';
import { runTurn } from '../../libs/slot-processor/src/turn.ts';
import { writesModel } from '../../services/shard-writer/src/model.ts';

const SLOTS = 4;
const dir = mkdtempSync(join(tmpdir(), 'millrace-turn-'));
const log = createLog({ name: 'test', level: 'silent' });
const slot = slotOf('demo/a', SLOTS);
let server: Postgres;
let shard: Database;
beforeAll(async () => {
  server = await startPostgres({ dir, durable: false });
  shard = createDatabase({ name: 'a', url: server.url, applicationName: 'turn-test', poolMax: 4, statementTimeoutMs: 30_000, idleInTransactionTimeoutMs: 30_000, connectTimeoutMs: 5_000, log });
  await prepareShard({ database: shard, identity: { clusterId: '00000000-0000-0000-0000-000000000001', shard: 'a' as ShardId, slots: SLOTS }, log });
  await seedSlots(shard, { epoch: 1 as Epoch, slots: [slot] });
});
afterAll(async () => {
  await shard?.end();
  await server?.stop();
  rmSync(dir, { recursive: true, force: true });
});

test('W3 a turn waits for whoever holds the position, and applies nothing that the other has applied', async () => {
  const value = Buffer.from(encodeWrite({ type: 'account.open', idempotencyKey: 'i', data: { account: 'a', currency: 'GBP' } }));
  const record = { slot, offset: 0n as Offset, key: 'demo/a', value, atMs: 0 };
  const slices = [sliceOf({ slot, from: 0n as Offset, to: 1n as Offset }, [record])];
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const { promise: held, resolve: hold } = Promise.withResolvers<void>();
  const other = shard.transaction(async (tx) => {
    await tx.query({ text: `update position set next_offset = 1 where stream = 'writes' and slot = $1`, values: [slot] });
    hold();
    await released;
  });
  await held;
  const turn = runTurn({ database: shard, model: writesModel, slots: SLOTS, slices, relayedOf: () => 0n as Offset });
  await until('the turn waits for the position', async () => (await shard.query({ text: `select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()` })).length > 0);
  release();
  await other;
  expect(await turn).toMatchObject({ records: 0, slots: [{ kind: 'applied', before: 1n, next: 1n }] });
  expect(await shard.query({ text: 'select 1 from account' })).toEqual([]);
  expect(await shard.query({ text: 'select 1 from journal' })).toEqual([]);
});
