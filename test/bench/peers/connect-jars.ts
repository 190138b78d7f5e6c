/** The jars of the JDBC sink peer, brought once by Maven into the cache, complete or not at all. */
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { createHash } from 'node:crypto';
import { promisify } from 'node:util';

const POM = join(import.meta.dirname, 'connect-pom.xml');

/** The folder of jars; its name follows the pom's content. @throws Error where Maven fails. */
export async function ensureConnectJars(): Promise<string> {
  const cache = join(homedir(), '.cache', 'millrace', 'bench');
  const dir = join(cache, `connect-${createHash('sha256').update(readFileSync(POM)).digest('hex').slice(0, 12)}`);
  if (existsSync(dir)) return dir;
  mkdirSync(cache, { recursive: true });
  const draft = mkdtempSync(`${dir}.part-`);
  try {
    const goal = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies';
    await promisify(execFile)('mvn', ['-q', '-B', '-f', POM, goal, `-DoutputDirectory=${draft}`, '-DincludeScope=runtime']);
    renameSync(draft, dir);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return dir;
}
