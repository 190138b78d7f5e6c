import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { stopLeftovers } from './leftovers.ts';
import { isRunning, markOf, type ProcessMark } from './proc.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-left-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const file = (): string => join(dir, 'cluster.json');

/** A process that looks like one of the cluster in the directory. */
function orphan(): ProcessMark {
  const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 600_000)', dir], { stdio: 'ignore', detached: true });
  child.unref();
  return markOf(child.pid!)!;
}

test('a damaged cluster.json is a leftover: it is removed, and the caller is told', async () => {
  writeFileSync(file(), '{"gateway": "http://127.0');
  expect(await stopLeftovers(dir)).toEqual({ stopped: [], damaged: true });
  expect(existsSync(file())).toBe(false);
});

test('where there is no cluster.json, nothing is left', async () => {
  expect(await stopLeftovers(dir)).toEqual({ stopped: [], damaged: false });
});

test('what a cluster.json of another version names by pid and start is stopped', async () => {
  const mark = orphan();
  const other = { name: 'kafka-1', pid: process.pid, startTicks: 1, stopSignal: 'SIGTERM' };
  writeFileSync(file(), JSON.stringify({ unknown: 1, processes: [{ name: 'shard-c', ...mark, stopSignal: 'SIGTERM' }, other] }));
  expect(await stopLeftovers(dir)).toEqual({ stopped: ['shard-c'], damaged: false });
  expect(isRunning(mark)).toBe(false);
});
