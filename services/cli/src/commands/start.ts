/** `millrace start`: a whole local cluster, the main job through it, and a place to try things out. */
import { resolve } from 'node:path';

import { formatVerdict } from '@millrace/ledger';
import { SHARDS_MAX, startLocalCluster } from '@millrace/local-cluster';
import { formatReplayReport } from '@millrace/workload';
import { InvalidArgumentError, type Command } from 'commander';

import { contextOf, wholeNumber } from '../context.ts';
import { isGood, runMainJob } from '../main-job.ts';
import type { Output } from '../output.ts';
import { listenForStop, type StopSignal } from '../stop-signal.ts';
import { formatDrive, formatOpen, summaryOf } from '../summary.ts';
import { CLUSTER_DIR, localTarget, type Target } from '../target.ts';
import { welcome } from '../welcome.ts';
import { generated, replayed, type Workload } from '../works.ts';

interface StartOptions {
  readonly once?: boolean;
  readonly writes: number;
  readonly seed?: string;
  readonly replay?: string;
  readonly shards?: number;
  readonly writers: number;
  readonly brokers?: 1 | 3;
  readonly fresh?: boolean;
  readonly port: number;
}

const WRITES = 20_000;
const PORT = 8080;

export function startCommand(program: Command): void {
  program
    .command('start')
    .description('start a local cluster, run the main job through it, verify, and stay up')
    .option('--once', 'stop after the verdict; exit 0 only if it is clean and every order has ended')
    .option('--writes <n>', 'how many writes the main job sends; 0: only the cluster', wholeNumber(0, 1_000_000_000), WRITES)
    .option('--seed <text>', 'of the generated writes (default: a new one)')
    .option('--replay <file.csv>', 'replay an Online-Retail style CSV instead of generated writes')
    .option('--shards <n>', 'how many Postgres shards to begin with; later: millrace ring add|remove (default: 2)', wholeNumber(1, SHARDS_MAX))
    .option('--writers <n>', 'how many shard-writers', wholeNumber(1, 16), 1)
    .option('--brokers <n>', 'how many Kafka brokers, 1 or 3; fixed when the data is made (default: 1)', brokers)
    .option('--fresh', 'remove the data of earlier starts first')
    .option('--port <n>', 'of the HTTP API; another is taken where it is in use', wholeNumber(1, 65_535), PORT)
    .action(async (options: StartOptions, command: Command) => {
      const { output, clusterDir } = contextOf(command);
      const stop = listenForStop(output.say);
      process.exitCode = await start({ options, output, stop, dir: resolve(clusterDir ?? CLUSTER_DIR) });
    });
}

interface Start {
  readonly options: StartOptions;
  readonly output: Output;
  readonly stop: StopSignal;
  readonly dir: string;
}

/** The exit code. */
async function start({ options, output, stop, dir }: Start): Promise<number> {
  const workload = workloadOf(options); // what is wrong with it is told before anything starts
  const sinceMs = performance.now();
  const elapsed = (): string => `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`.padStart(8);
  const cluster = await startLocalCluster({
    dir,
    shards: options.shards,
    writers: options.writers,
    brokers: options.brokers,
    fresh: options.fresh,
    port: options.port,
    signal: stop.signal,
    progress: (step) => output.say(`${elapsed()}  ${step}`),
  });
  output.say(`${elapsed()}  ready: ${cluster.file.gateway}`);
  try {
    if (new URL(cluster.file.gateway).port !== String(options.port)) output.say(`port ${options.port} is in use: ${cluster.file.gateway} it is`);
    const clean = workload === undefined || (await mainJob({ workload, target: localTarget(dir), output, signal: stop.signal }));
    if (options.once === true || stop.signal.aborted) return clean ? 0 : 1;
    output.say(welcome(cluster));
    await stop.asked;
    return clean ? 0 : 1;
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    return options.once === true ? 1 : 0;
  } finally {
    output.settle();
    await cluster.stop();
    output.say('stopped');
  }
}

interface Job {
  readonly workload: Workload;
  readonly target: Target;
  readonly output: Output;
  readonly signal: AbortSignal;
}

/** Whether all went through, ended, and the verdict is clean. */
async function mainJob({ workload, target, output, signal }: Job): Promise<boolean> {
  output.say(`main job: ${workload.what}`);
  const result = await runMainJob({ target, works: workload.works, output, signal });
  const { drive, open, verdict } = result;
  output.say(formatDrive(drive));
  const replay = workload.report?.();
  if (replay !== undefined) output.say(formatReplayReport(replay));
  output.result([...formatOpen(open), formatVerdict(verdict)].join('\n'), summaryOf({ ...result, replay }));
  return isGood(result);
}

function workloadOf({ replay, writes, seed }: StartOptions): Workload | undefined {
  if (replay !== undefined) return replayed(replay);
  return writes === 0 ? undefined : generated(writes, seed);
}

function brokers(text: string): 1 | 3 {
  if (text === '1') return 1;
  if (text === '3') return 3;
  throw new InvalidArgumentError('Expected 1 or 3.');
}
