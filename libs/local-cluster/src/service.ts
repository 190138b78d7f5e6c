/** A Millrace service as a child process: the built program, an environment of its own, ready when it says so. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { createChild, type Child } from './child.ts';
import { until } from './wait.ts';

export const servicesDir = fileURLToPath(new URL('../../../services', import.meta.url));

const READY_TIMEOUT_MS = 90_000;
const PROBE_TIMEOUT_MS = 2_000;
const STOP_TIMEOUT_MS = 45_000; // longer than the drain of any service

/** What a service may know of its host; its settings come on top. */
const INHERITED = ['PATH', 'HOME', 'LANG', 'LC_ALL', 'TZ', 'TMPDIR', 'NODE_EXTRA_CA_CERTS'];

/** A steady heap: without a bound V8 lets garbage stand for speed, at twice the memory. The manifests set the same. */
const HEAP_FLAGS = ['--max-semi-space-size=32', '--max-old-space-size=512'];

export interface ServiceSpec {
  /** The folder under `services/`. */
  readonly service: string;
  /** The name of the instance. */
  readonly name: string;
  readonly opsPort: number;
  readonly logFile: string;
  readonly env: Readonly<Record<string, string>>;
  /** Options for Node itself, such as a profiler. */
  readonly nodeArgs?: readonly string[];
}

export interface Service extends Child {
  readonly metrics: string;
}

export function createService({ service, name, opsPort, logFile, env, nodeArgs = [] }: ServiceSpec): Service {
  const main = join(servicesDir, service, 'dist', 'main.js');
  const child = createChild({
    name,
    logFile,
    launch: () => {
      if (!existsSync(main)) throw new Error(`${main} is not built: run npm run build`);
      return { command: process.execPath, args: [...HEAP_FLAGS, ...nodeArgs, main], env: { ...inherited(), ...env } };
    },
    ready: (_pid, signal) =>
      until(() => isReady(opsPort), { timeoutMs: READY_TIMEOUT_MS, everyMs: 50, what: `${name} to be ready`, signal }),
    stopSignal: 'SIGTERM',
    stopTimeoutMs: STOP_TIMEOUT_MS,
  });
  return Object.assign(child, { metrics: `http://127.0.0.1:${opsPort}/metrics` });
}

async function isReady(opsPort: number): Promise<boolean> {
  const answer = fetch(`http://127.0.0.1:${opsPort}/readyz`, { signal: AbortSignal.timeout(PROBE_TIMEOUT_MS) });
  return await answer.then(
    async (response) => {
      await response.body?.cancel();
      return response.ok;
    },
    () => false, // not listening yet
  );
}

function inherited(): Record<string, string> {
  const known = INHERITED.map((name) => [name, process.env[name]] as const);
  const set = known.filter((pair): pair is readonly [string, string] => pair[1] !== undefined);
  return { NODE_ENV: 'production', ...Object.fromEntries(set) };
}
