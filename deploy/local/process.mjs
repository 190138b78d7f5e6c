/** Running programs: quietly as a step, or as what this process was started for. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { performance } from 'node:perf_hooks';

/** Something that the user can put right; shown without a stack. */
export class SetupError extends Error {
  name = 'SetupError';
}

/** npm passes a signal on that the terminal has sent already: both together are one. */
const SAME_SIGNAL_MS = 1_500;

/** What npm tells a script about the script, the package and itself. */
const OF_THE_SCRIPT = /^npm_(lifecycle_.*|package_.*|command|execpath|node_execpath|config_(local_prefix|global_prefix|node_gyp|npm_version))$/i;
/**
 * Settings under which `npm ci` leaves packages out, or fails without a word. npm refuses allow-scripts from the
 * environment, where it puts what it read in .npmrc.
 */
const OF_THE_INSTALLATION = /^npm_config_(omit|include|production|only|also|dev|optional|allow_scripts|loglevel)$/i;
const OF_NODE = /^(NODE_ENV|INIT_CWD|NODE_OPTIONS)$/;

/** Without what npm adds for its scripts. The user's own settings stay: registry, certificates, proxy, npmrc. */
export function cleanEnv(env = process.env) {
  const dropped = [OF_THE_SCRIPT, OF_THE_INSTALLATION, OF_NODE];
  return Object.fromEntries(Object.entries(env).filter(([name]) => !dropped.some((pattern) => pattern.test(name))));
}

/** Runs a step with its output shown. The exit code. */
export function run(command, args, { cwd, step, env = cleanEnv() }) {
  say(step);
  return ended(spawn(command, args, { cwd, env, stdio: 'inherit' }), command);
}

/** Runs a step quietly. What it printed is shown only where it fails. @throws SetupError */
export async function runQuietly(command, args, { cwd, step, env = cleanEnv() }) {
  const sinceMs = performance.now();
  if (step !== undefined) say(step);
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (printed += text));
  const code = await ended(child, command);
  if (code !== 0) throw new SetupError(`${command} ${args.join(' ')} failed with code ${code}:\n${printed.trim()}`);
  if (step !== undefined) say(`  done in ${((performance.now() - sinceMs) / 1000).toFixed(1)} s`);
  return printed;
}

/**
 * Becomes this program: its output, its exit code. One that drains is given a session of its own, so that a Ctrl-C
 * of the terminal reaches it once, through here; an IPC channel tells it when this process is gone.
 */
export function handOver(command, args, { cwd, drains = false }) {
  const stdio = drains ? ['ignore', 'inherit', 'inherit', 'ipc'] : 'inherit';
  const child = spawn(command, args, { cwd, env: cleanEnv(), stdio, detached: drains });
  let lastMs = -Infinity;
  const forward = (signal) => {
    const nowMs = performance.now();
    if (nowMs - lastMs < SAME_SIGNAL_MS) return;
    lastMs = nowMs;
    child.kill(signal);
  };
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => forward(signal));
  // Without a session of its own the program has had the terminal's Ctrl-C itself.
  process.on('SIGINT', () => (drains ? forward('SIGINT') : undefined));
  return ended(child, command);
}

export function say(line) {
  console.log(line);
}

function ended(child, command) {
  return new Promise((done, fail) => {
    child.once('error', (cause) => fail(new SetupError(`${command} cannot be run: ${cause.message}`)));
    child.once('close', (code, signal) => done(code ?? 128 + (constants.signals[signal] ?? 1)));
  });
}
