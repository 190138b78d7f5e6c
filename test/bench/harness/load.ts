/** Single POSTs to an installation's gateway, from a process of their own. */
import type { Bench } from './bench.ts';
import { nodeProgram, type Child, type Message } from './children.ts';
import type { Installation } from './installation.ts';
import type { Measure } from './rounds.ts';

export const CONNECTIONS = 64;
const WARMUP_SECONDS = 3;

export interface Load {
  /** Tells runs on the same installation apart. */
  readonly run: string;
  /** Requests are due at fixed instants, and latency counts from then. Without it, as many as the connections carry. */
  readonly ratePerSecond?: number;
  /** Of these writes each second are read back. */
  readonly probesPerSecond?: number;
}

/** What 64 connections bring in, for the seconds of the options behind a warm-up; says `measuring`, then `done`. */
export function startPosts({ children, options }: Bench, { gatewayPort, apiKey }: Installation, load: Load): Child {
  const posts = { port: gatewayPort, apiKey, connections: CONNECTIONS, warmupSeconds: WARMUP_SECONDS, seconds: options.seconds, ...load };
  return children.start(nodeProgram({ name: 'posts', file: 'load/posts.ts', options: posts }));
}

export interface FullLoad {
  readonly fullAckedPerSecond: number;
  readonly fullAppliedPerSecond: number;
}

/** What is acknowledged and what is applied while the connections send as much as they can, with a writer running. */
export async function fullLoad(bench: Bench, installation: Installation): Promise<FullLoad> {
  const generator = startPosts(bench, installation, { run: 'f00' });
  await generator.event('measuring');
  const from = { applied: await installation.applied(), atMs: performance.now() };
  const done = await generator.event('done');
  const seconds = (performance.now() - from.atMs) / 1000;
  return {
    fullAckedPerSecond: Number(done['ackedPerSecond']),
    fullAppliedPerSecond: ((await installation.applied()) - from.applied) / seconds,
  };
}

/** Half of what the whole chain carries. */
export function halfOf({ fullAckedPerSecond, fullAppliedPerSecond }: FullLoad): number {
  return Math.min(fullAckedPerSecond, fullAppliedPerSecond) / 2;
}

export function numbersIn(message: Message, names: readonly string[]): Measure {
  return Object.fromEntries(names.map((name) => [name, Number(message[name])]));
}
