/**
 * A lock between processes: a file that names its holder by pid and start time, so that the lock of a process that
 * was killed is free again at once.
 */
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

import { must } from '@millrace/write';

import { isErrno, isRunning, markOf, type ProcessMark } from './proc.ts';

export interface DirLock {
  release(): void;
}

/** The lock, or the mark of the live process that holds it. */
export function tryLock(file: string): DirLock | ProcessMark {
  mkdirSync(dirname(file), { recursive: true });
  const own = must(markOf(process.pid), 'this process runs');
  // Linking a finished file into place is atomic: nobody ever reads a half-written holder.
  const draft = `${file}.${own.pid}`;
  writeFileSync(draft, `${own.pid} ${own.startTicks}\n`);
  try {
    for (;;) {
      if (linked(draft, file)) return { release: () => rmSync(file, { force: true }) };
      const holder = readHolder(file);
      if (holder !== undefined && isRunning(holder)) return holder;
      rmSync(file, { force: true });
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

export function isLock(result: DirLock | ProcessMark): result is DirLock {
  return 'release' in result;
}

function linked(draft: string, file: string): boolean {
  try {
    linkSync(draft, file);
    return true;
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false;
    throw error;
  }
}

function readHolder(file: string): ProcessMark | undefined {
  try {
    const [pid, startTicks] = readFileSync(file, 'utf8').trim().split(' ').map(Number);
    return pid !== undefined && startTicks !== undefined ? { pid, startTicks } : undefined;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}
