/** The control database: who owns which slot, epoch by epoch. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { startPostgres, type Postgres } from '@millrace/local-cluster';
import { createDatabase, migrate, type Database } from '@millrace/postgres';
import { createTopology } from '@millrace/ring';
import { createLog } from '@millrace/runtime';
import { controlMigrations, identifyCluster, proposeTopology, readTopology } from '@millrace/topology';
import type { Epoch, ShardId } from '@millrace/write';

const dir = mkdtempSync(join(tmpdir(), 'millrace-topology-'));
const log = createLog({ name: 'test', level: 'silent' });
let server: Postgres;
let control: Database;
beforeAll(async () => {
  server = await startPostgres({ dir, durable: false });
  control = createDatabase({ name: 'control', url: server.url, applicationName: 'test', poolMax: 4, statementTimeoutMs: 10_000, idleInTransactionTimeoutMs: 10_000, connectTimeoutMs: 5_000, log });
  await migrate({ database: control, migrations: controlMigrations, log });
});
afterAll(async () => {
  await control?.end();
  await server?.stop();
  rmSync(dir, { recursive: true, force: true });
});

const topology = (epoch: number, owner: string) => createTopology({ epoch: epoch as Epoch, owners: [owner, owner] as ShardId[] });
const by = { author: 'test', reason: 'test' };

test('R2 epochs rise by one, without gaps: of two proposals of one epoch the first wins, a skipped one is refused', async () => {
  expect(await proposeTopology(control, topology(2, 'a'), by)).toBe(false);
  const both = await Promise.all([proposeTopology(control, topology(1, 'a'), by), proposeTopology(control, topology(1, 'a'), by)]);
  expect(both.filter(Boolean)).toHaveLength(1);
  expect(await proposeTopology(control, topology(1, 'b'), by)).toBe(false);
  expect(await proposeTopology(control, topology(3, 'b'), by)).toBe(false);
  expect(await proposeTopology(control, topology(2, 'b'), by)).toBe(true);
  expect(await readTopology(control)).toEqual(topology(2, 'b'));
});

test('the number of slots is fixed by whoever comes first', async () => {
  expect((await identifyCluster(control, 64)).slots).toBe(64);
  expect((await identifyCluster(control, 128)).slots).toBe(64);
});
