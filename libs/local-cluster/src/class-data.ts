/**
 * A class-data archive takes a second off the start of a broker. It is trained once per Java from a broker that
 * starts and stops in a throw-away directory; a JVM that does not like the archive goes on without it.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { isLock, tryLock } from './dir-lock.ts';
import type { KafkaJars } from './kafka-jars.ts';

/** Starts a broker with these JVM options on a directory and stops it again. */
export type Trial = (dir: string, java: readonly string[]) => Promise<void>;

/** JVM options that use the archive of this Java, which is trained now where there is none yet. */
export async function sharedClassData(jars: KafkaJars, trial: Trial): Promise<readonly string[]> {
  const archive = join(jars.dir, `classes-${await javaVersion()}.jsa`);
  if (!existsSync(archive)) await train(jars, archive, trial);
  return existsSync(archive) ? [`-XX:SharedArchiveFile=${archive}`, '-Xlog:cds=off', '-Xlog:cds+dynamic=off'] : [];
}

/** Whoever finds another at it goes on without the archive, this once. */
async function train(jars: KafkaJars, archive: string, trial: Trial): Promise<void> {
  const lock = tryLock(`${archive}.lock`);
  if (!isLock(lock)) return;
  const dir = mkdtempSync(join(jars.dir, 'training-'));
  try {
    const draft = join(dir, 'classes.jsa');
    await trial(dir, [`-XX:ArchiveClassesAtExit=${draft}`, '-Xlog:cds=off', '-Xlog:cds+dynamic=off']);
    if (existsSync(draft)) renameSync(draft, archive);
  } finally {
    rmSync(dir, { recursive: true, force: true });
    lock.release();
  }
}

async function javaVersion(): Promise<string> {
  const { stderr } = await promisify(execFile)('java', ['-version']);
  return createHash('sha256').update(stderr).digest('hex').slice(0, 12);
}
