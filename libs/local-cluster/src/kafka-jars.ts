/**
 * Kafka without Docker: its jars, brought once by Maven into a cache that outlives the clone. The folder appears by
 * a rename when it is complete, and one process at a time fills it.
 */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { assert } from '@millrace/write';

import { cacheDir } from './cache-dir.ts';
import { isLock, tryLock, type DirLock } from './dir-lock.ts';
import { KAFKA_VERSION, MAVEN_GOAL, POM } from './kafka-pom.ts';
import { until } from './wait.ts';

const DOWNLOAD_TIMEOUT_MS = 600_000;

export interface KafkaJars {
  /** Holds `lib/*.jar`. */
  readonly dir: string;
  /** Every jar, sorted: a class-data archive is good only for the very same class path. */
  readonly classPath: string;
}

/** The jars, downloaded where they are not there yet. @throws Error where Maven fails, with what it said. */
export async function ensureKafkaJars(cache: string = cacheDir()): Promise<KafkaJars> {
  const dir = join(cache, `kafka-${KAFKA_VERSION}`);
  if (!existsSync(dir)) await download(cache, dir);
  return { dir, classPath: classPathOf(dir) };
}

/** Whether a start needs no download. */
export function hasKafkaJars(cache: string = cacheDir()): boolean {
  return existsSync(join(cache, `kafka-${KAFKA_VERSION}`));
}

async function download(cache: string, dir: string): Promise<void> {
  mkdirSync(cache, { recursive: true });
  const lock = await locked(`${dir}.lock`);
  try {
    if (existsSync(dir)) return; // the one before us brought them
    const draft = mkdtempSync(`${dir}.part-`);
    try {
      writeFileSync(join(draft, 'pom.xml'), POM);
      await maven(draft);
      renameSync(draft, dir);
    } finally {
      rmSync(draft, { recursive: true, force: true });
    }
  } finally {
    lock.release();
  }
}

async function maven(dir: string): Promise<void> {
  const args = ['-q', '-B', '-f', join(dir, 'pom.xml'), MAVEN_GOAL, `-DoutputDirectory=${join(dir, 'lib')}`];
  try {
    await promisify(execFile)('mvn', [...args, '-DincludeScope=runtime'], { timeout: DOWNLOAD_TIMEOUT_MS });
  } catch (cause) {
    const said = cause instanceof Error && 'stdout' in cause ? String(cause.stdout).trim() : String(cause);
    throw new Error(`Maven could not bring Kafka's jars (is Maven installed, and Maven Central reachable?):\n${said}`, {
      cause,
    });
  }
}

async function locked(file: string): Promise<DirLock> {
  let lock = tryLock(file);
  await until(
    () => isLock(lock) || isLock((lock = tryLock(file))),
    { timeoutMs: DOWNLOAD_TIMEOUT_MS, everyMs: 250, what: `another process downloads Kafka (${file})` },
  );
  assert(isLock(lock), 'the wait ends with the lock');
  return lock;
}

function classPathOf(dir: string): string {
  const lib = join(dir, 'lib');
  const jars = readdirSync(lib).filter((name) => name.endsWith('.jar')).sort();
  assert(jars.some((name) => name.startsWith('kafka_')), `${lib} holds no broker: remove ${dir} and start again`);
  return jars.map((name) => join(lib, name)).join(':');
}
