import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createChild, ChildFailed, type Child } from './child.ts';
import { isRunning, markOf } from './proc.ts';
import { supervised } from './supervise.ts';
import { until } from './wait.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-supervise-'));
});
afterAll(() => rmSync(dir, { recursive: true }));

const sleeper = (script = 'exec sleep 600'): Child =>
  createChild({
    name: 'sleeper',
    logFile: join(dir, 'sleeper.log'),
    launch: () => ({ command: '/bin/sh', args: ['-c', script] }),
    ready: () => Promise.resolve(),
    stopSignal: 'SIGTERM',
    stopTimeoutMs: 200,
  });

test('a child that is killed is started again', async () => {
  const said: string[] = [];
  const child = supervised(sleeper(), { restart: true, report: (line) => said.push(line) });
  await child.start();
  const first = child.pid;
  await child.kill('SIGKILL');
  await until(() => child.pid !== undefined, { timeoutMs: 30_000, what: 'the restart' });
  expect(child.pid).not.toBe(first);
  expect(said[0]).toContain('SIGKILL');
  await child.stop();
  expect(child.pid).toBeUndefined();
});

test('a child that is stopped stays down, also when it is stopped while it is being started again', async () => {
  const child = supervised(sleeper(), { restart: true, report: () => undefined });
  await child.start();
  await child.kill('SIGKILL');
  await child.stop();
  expect(child.pid).toBeUndefined();
});

test('without restart a dead child stays dead until it is started', async () => {
  const child = supervised(sleeper(), { restart: false, report: () => undefined });
  await child.start();
  await child.kill('SIGKILL');
  expect(child.pid).toBeUndefined();
  await child.start();
  expect(child.pid).toBeDefined();
  await child.stop();
});

test('a child that does not listen is killed, also when it is suspended', async () => {
  const child = sleeper(`trap '' TERM; while true; do sleep 600; done`);
  await child.start();
  const mark = markOf(child.pid!)!;
  await child.kill('SIGSTOP');
  await child.stop();
  expect(isRunning(mark)).toBe(false);
});

test('a child that ends before it is ready fails its start with the end of its log', async () => {
  const child = createChild({
    name: 'failing',
    logFile: join(dir, 'failing.log'),
    launch: () => ({ command: '/bin/sh', args: ['-c', 'echo the reason >&2; exit 3'] }),
    ready: (_pid, ended) => until(() => false, { timeoutMs: 30_000, what: 'never', signal: ended }),
    stopSignal: 'SIGTERM',
    stopTimeoutMs: 200,
  });
  await expect(child.start()).rejects.toThrow(ChildFailed);
  await expect(child.start()).rejects.toThrow(/code 3[\s\S]*the reason/);
  expect(child.pid).toBeUndefined();
});
