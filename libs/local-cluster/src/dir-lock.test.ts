import { afterAll, expect, test } from '@jest/globals';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { isLock, tryLock } from './dir-lock.ts';
import { isRunning, markOf } from './proc.ts';

const dir = mkdtempSync(join(tmpdir(), 'millrace-lock-'));
afterAll(() => rmSync(dir, { recursive: true }));

test('a lock is held once, and free again when it is released', () => {
  const file = join(dir, 'a');
  const lock = tryLock(file);
  expect(isLock(lock)).toBe(true);
  expect(tryLock(file)).toEqual(markOf(process.pid));
  if (isLock(lock)) lock.release();
  expect(isLock(tryLock(file))).toBe(true);
});

test('the lock of a process that is gone is free', async () => {
  const file = join(dir, 'b');
  const child = spawn('sleep', ['60']);
  await once(child, 'spawn');
  const mark = markOf(child.pid!)!;
  writeFileSync(file, `${mark.pid} ${mark.startTicks}\n`);
  expect(tryLock(file)).toEqual(mark);
  child.kill('SIGKILL');
  await once(child, 'exit');
  expect(isRunning(mark)).toBe(false);
  expect(isLock(tryLock(file))).toBe(true);
});

test('the lock of a process whose pid another one has now is free', () => {
  const file = join(dir, 'c');
  writeFileSync(file, `${process.pid} 1\n`);
  expect(isLock(tryLock(file))).toBe(true);
});

test('a lock file that says nothing is free', () => {
  const file = join(dir, 'd');
  writeFileSync(file, '');
  expect(isLock(tryLock(file))).toBe(true);
});
