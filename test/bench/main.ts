/**
 * The benchmarks: Millrace against what people would run instead, on the same servers, in turns.
 *
 * They prove speed, not correctness, and are no part of the tests. Every side runs in processes of its own.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { KAFKA_VERSION } from '@millrace/local-cluster';
import { ack } from './cases/ack.ts';
import { apply } from './cases/apply.ts';
import { bulk } from './cases/bulk.ts';
import { growth } from './cases/growth.ts';
import { latency } from './cases/latency.ts';
import { memory } from './cases/memory.ts';
import { moveAcks } from './cases/move-acks.ts';
import { moveBandwidth } from './cases/move-bandwidth.ts';
import { moveHot } from './cases/move-hot.ts';
import { moveMemory } from './cases/move-memory.ts';
import { moveRate } from './cases/move-rate.ts';
import { moveStall } from './cases/move-stall.ts';
import { ordersDown } from './cases/orders-down.ts';
import { ordersHot } from './cases/orders-hot.ts';
import { ordersLatency } from './cases/orders-latency.ts';
import { ordersRate } from './cases/orders-rate.ts';
import { plan } from './cases/plan.ts';
import type { Bench, Report } from './harness/bench.ts';
import { createChildren } from './harness/children.ts';
import { describeMachine } from './harness/machine.ts';
import { commandLine, USAGE, UsageError, type BenchmarkName, type CommandLine } from './harness/options.ts';
import { markdown, type Run } from './harness/report.ts';
import { startServers } from './harness/servers.ts';

const CASES: Record<BenchmarkName, (bench: Bench) => Promise<Report>> = {
  ack,
  bulk,
  apply,
  latency,
  memory,
  growth,
  plan,
  'move-acks': moveAcks,
  'move-stall': moveStall,
  'move-bandwidth': moveBandwidth,
  'move-rate': moveRate,
  'move-hot': moveHot,
  'move-memory': moveMemory,
  'orders-rate': ordersRate,
  'orders-latency': ordersLatency,
  'orders-hot': ordersHot,
  'orders-down': ordersDown,
};
const DIR = join(import.meta.dirname, '..', '..', '.millrace', 'bench');

try {
  await main(commandLine(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof UsageError)) throw error;
  process.stderr.write(error.message === '' ? USAGE : `${error.message}\n\n${USAGE}`);
  process.exitCode = error.message === '' ? 0 : 2;
}

async function main({ benchmarks, options, json }: CommandLine): Promise<void> {
  const startedAt = new Date().toISOString();
  const logDir = join(DIR, 'logs');
  rmSync(DIR, { recursive: true, force: true });
  mkdirSync(logDir, { recursive: true });
  process.stderr.write(`starting servers; logs are in ${logDir}\n`);
  const servers = await startServers({ dir: DIR, logDir });
  const children = createChildren({ logDir });
  const stop = async () => {
    await children.stopAll();
    await servers.stop();
  };
  process.once('SIGINT', () => void stop().finally(() => process.exit(130)));
  process.once('SIGTERM', () => void stop().finally(() => process.exit(143)));
  try {
    const reports: Report[] = [];
    for (const name of benchmarks) {
      process.stderr.write(`${name}\n`);
      reports.push(await CASES[name]({ servers, children, options, dir: DIR }));
    }
    const machine = await describeMachine({ databaseUrl: servers.postgres[0] ?? '', kafka: KAFKA_VERSION });
    const run: Run = { startedAt, command: `npm run bench -- ${process.argv.slice(2).join(' ')}`, machine, reports };
    if (json !== undefined) writeFileSync(json, `${JSON.stringify(run, undefined, 2)}\n`);
    process.stdout.write(`${markdown(run)}\n`);
  } finally {
    await stop();
  }
}
