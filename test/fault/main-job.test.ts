/**
 * The main job as users run it: `millrace start --once` in a process of its own, which starts the cluster, drives it,
 * waits and judges. While its orders run, an orchestrator, a writer and a shard are killed and a slot moves: it ends
 * with exit code 0.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, expect, test } from '@jest/globals';
import type { Verdict } from '@millrace/ledger';
import { freePort, readClusterFile, type ClusterFile } from '@millrace/local-cluster';
import { createDatabase } from '@millrace/postgres';
import { createLog } from '@millrace/runtime';
import { createRing, until } from '@millrace/testkit';
import { must } from '@millrace/write';

const CLI = resolve(import.meta.dirname, '../../services/cli/bin/millrace.mjs');
const WRITES = 8_000;
const LAYOUT = ['--shards', '2', '--writers', '2'];

const dir = mkdtempSync(join(tmpdir(), 'millrace-test-'));
let job: ChildProcess | undefined;
afterAll(async () => {
  if (job !== undefined && job.exitCode === null && job.signalCode === null) {
    const exited = once(job, 'exit');
    job.kill('SIGTERM');
    await exited;
  }
  if (process.env['KEEP_TEST_DIRS'] === undefined) rmSync(dir, { recursive: true, force: true });
}, 600_000);

const running = (): ClusterFile => must(readClusterFile(dir), 'the cluster of the job runs');

async function kill(what: string, pidOf: (file: ClusterFile) => number | null | undefined): Promise<void> {
  process.kill(await until(`${what} runs`, () => pidOf(running())), 'SIGKILL');
}

/** Orders, returns and transfers that are open on a shard. */
async function openOn(url: string): Promise<number> {
  const settings = { applicationName: 'test', poolMax: 1, statementTimeoutMs: 10_000, idleInTransactionTimeoutMs: 10_000, connectTimeoutMs: 5_000 };
  const database = createDatabase({ ...settings, name: 'look', url, log: createLog({ name: 'test', level: 'error' }) });
  try {
    const [row] = await database.query<{ open: number }>({ text: `select count(*)::int as open from saga where state in ('reserving', 'confirming', 'undoing')` });
    return must(row, 'a count is one row').open;
  } finally {
    await database.end();
  }
}

test('an orchestrator, a writer and a shard are killed and a slot moves: everything ends, the verdict is clean, the exit code 0', async () => {
  const args = ['--json', '--cluster', dir, 'start', '--once', '--writes', String(WRITES), ...LAYOUT, '--port', String(await freePort())];
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
  job = child;
  const exit = once(child, 'exit') as Promise<[number | null, string | null]>;
  const printed = text(must(child.stdout, 'a pipe'));
  const isOver = (): boolean => child.exitCode !== null || child.signalCode !== null;

  await until('orders are under way', async () => {
    expect(isOver()).toBe(false);
    const shard = readClusterFile(dir)?.shards.find(({ id }) => id === 'b');
    return shard !== undefined && (await openOn(shard.url).catch(() => 0)) > 3;
  });
  const file = running();
  const ring = createRing({ file, adminUrls: [file.admin] });
  const [slot] = await ring.slotsOf('b');
  const move = await ring.move(must(slot, 'shard b has slots'), 'a');
  await kill('an orchestrator', ({ services }) => services.find(({ name }) => name === 'saga-orchestrator-1')?.pid);
  await kill('a writer', ({ services }) => services.find(({ name }) => name === 'shard-writer-1')?.pid);
  await kill('a shard', ({ shards }) => shards.find(({ id }) => id === 'b')?.pid);
  await ring.untilMove(move, 'done');
  expect(isOver()).toBe(false);

  const [code, signal] = await exit;
  const result = JSON.parse(await printed) as { readonly drive: object; readonly open: object; readonly verdict: Verdict };
  expect({ code, signal, differences: result.verdict.differences }).toEqual({ code: 0, signal: null, differences: [] });
  expect(result.drive).toMatchObject({ ending: { is: 'complete' }, acked: WRITES, failed: 0, unexpectedEnds: {} });
  expect(result.open).toMatchObject({ orders: 0, sagas: 0, parkedKeys: 0 });
  expect(result.verdict).toMatchObject({ clean: true, acked: WRITES, orders: { open: 0 }, returns: { open: 0 }, transfers: { open: 0 }, messagesUnderWay: 0, heldForOpen: 0, sumsJudged: true });
  expect(result.verdict.orders.confirmed).toBeGreaterThan(0);
}, 600_000);
