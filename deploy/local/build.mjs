/** The build, skipped where no source has changed since the last one. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { runQuietly } from './process.mjs';

const ROOT_FILES = ['package.json', 'package-lock.json', 'tsconfig.base.json', 'nx.json'];
const PACKAGE_FILES = ['package.json', 'tsconfig.json'];

export async function ensureBuild(root) {
  const stamp = join(root, 'node_modules', '.cache', 'millrace-build');
  const packages = ['libs', 'services'].flatMap((room) => directoriesOf(join(root, room)));
  const hash = hashOf([...ROOT_FILES.map((name) => join(root, name)), ...packages.flatMap(sourcesOf)]);
  const isBuilt = packages.every((dir) => existsSync(join(dir, 'dist')));
  if (isBuilt && existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return;
  await runQuietly('npm', ['run', '--silent', 'build'], { cwd: root, step: 'building' });
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, hash);
}

function directoriesOf(dir) {
  return readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && existsSync(join(dir, entry.name, 'package.json')))
    .map((entry) => join(dir, entry.name));
}

function sourcesOf(dir) {
  const sources = readdirSync(join(dir, 'src'), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.test.ts'))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  return [...PACKAGE_FILES.map((name) => join(dir, name)), ...sources];
}

function hashOf(files) {
  const hash = createHash('sha256');
  for (const file of files.filter((name) => existsSync(name)).sort()) hash.update(`${file}\0`).update(readFileSync(file)).update('\0');
  return hash.digest('hex');
}
