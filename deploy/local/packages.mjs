/** npm packages as the lock file says. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { runQuietly } from './process.mjs';

export async function ensurePackages(root) {
  if (matches(root)) return;
  const npm = process.env.npm_execpath; // the npm that runs us
  const [command, ...first] = npm?.endsWith('.js') ? [process.execPath, npm] : ['npm'];
  await runQuietly(command, [...first, 'ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund'], {
    cwd: root,
    step: 'installing npm packages (npm ci; about a minute the first time)',
  });
}

/** npm notes what it installed, at the end of an installation: every package of the lock file must be in the note. */
function matches(root) {
  const note = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(note)) return false;
  const installed = packagesOf(note);
  return Object.entries(packagesOf(join(root, 'package-lock.json')))
    .filter(([path]) => path.startsWith('node_modules/'))
    .every(([path, wanted]) => {
      const found = installed[path];
      return found === undefined ? wanted.optional === true : found.version === wanted.version && found.integrity === wanted.integrity;
    });
}

function packagesOf(file) {
  return JSON.parse(readFileSync(file, 'utf8')).packages ?? {};
}
