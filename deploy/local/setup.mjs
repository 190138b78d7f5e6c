/**
 * The way into everything from a fresh clone: `npm start`, `npm test`, `npm run bench`, `npm run millrace`.
 *
 * Plain JavaScript without dependencies, for the Node of the host (20 or later): it checks the platform, brings what
 * is missing (Java and Maven where it may, npm packages, the build, Kafka's jars) and hands over to the Node 24 that
 * npm brought. Each step that has nothing to do is skipped in silence.
 */
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { ensureBuild } from './build.mjs';
import { ensureJars, ensureJava } from './java.mjs';
import { ensurePackages } from './packages.mjs';
import { checkPlatform, node24 } from './platform.mjs';
import { handOver, run, SetupError } from './process.mjs';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
const [mode = 'start', ...args] = process.argv.slice(2);

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  console.error(`\n${error.message}`);
  process.exitCode = 1;
}

async function main() {
  if (mode === 'start' && args.some((arg) => arg === '--help' || arg === '-h')) {
    process.stdout.write(readFileSync(join(root, 'deploy/local/start-help.txt'), 'utf8'));
    return 0;
  }
  checkPlatform();
  switch (mode) {
    case 'start':
      return await start(args);
    case 'millrace':
      return args[0] === 'start' ? await start(args.slice(1)) : await millrace();
    case 'test':
      return await test();
    case 'bench':
      return await bench();
    default:
      throw new SetupError(`setup.mjs does not know "${mode}": start, test, bench or millrace`);
  }
}

async function start(startArgs) {
  await everything();
  return await handOver(node24(root), [cli(), ...clusterDir(startArgs), 'start', ...startArgs], { cwd: callersDir(), drains: true });
}

/** The operator's command needs no servers of its own. */
async function millrace() {
  await ensurePackages(root);
  await ensureBuild(root);
  return await handOver(node24(root), [cli(), ...args], { cwd: callersDir() });
}

async function test() {
  await everything();
  for (const check of ['lint', 'typecheck']) {
    const code = await run('npm', ['run', '--silent', check], { cwd: root, step: `npm run ${check}` });
    if (code !== 0) return code;
  }
  return await handOver('npm', ['run', '--silent', 'jest', '--', ...args], { cwd: root });
}

async function bench() {
  await everything();
  return await handOver(node24(root), [join(root, 'test/bench/main.ts'), ...args], { cwd: root });
}

async function everything() {
  await ensureJava(root);
  await ensurePackages(root);
  await ensureBuild(root);
  await ensureJars(root);
}

function cli() {
  return join(root, 'services/cli/dist/main.js');
}

/** The cluster of a clone lives in the clone, wherever npm was called from. */
function clusterDir(startArgs) {
  const isNamed = startArgs.some((arg) => arg === '--cluster' || arg.startsWith('--cluster='));
  return isNamed ? [] : ['--cluster', join(root, '.millrace')];
}

/** npm goes to the root of the package; file names are relative to where it was called. */
function callersDir() {
  return process.env.INIT_CWD ?? process.cwd();
}
