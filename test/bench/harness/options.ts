/** The command line: `bench NAME... [OPTIONS]`. */
import { parseArgs } from 'node:util';
import type { Options } from './bench.ts';

const MOVES = ['move-acks', 'move-stall', 'move-bandwidth', 'move-rate', 'move-hot', 'move-memory'] as const;
const ORDERS = ['orders-rate', 'orders-latency', 'orders-hot', 'orders-down'] as const;
export const BENCHMARKS = ['ack', 'bulk', 'apply', 'latency', 'memory', 'growth', 'plan', ...MOVES, ...ORDERS] as const;
export type BenchmarkName = (typeof BENCHMARKS)[number];

/** Names that stand for several. */
const GROUPS = new Map<string, readonly BenchmarkName[]>([['all', BENCHMARKS], ['move', MOVES], ['orders', ORDERS]]);

export const USAGE = `Usage: npm run bench -- NAME [OPTIONS]

  NAME  ack | bulk | apply | latency | memory | growth | plan
        move-acks | move-stall | move-bandwidth | move-rate | move-hot | move-memory
        orders-rate | orders-latency | orders-hot | orders-down
        move or orders, which is those that begin so, or all; several may be given

  --rounds N          how often each side is measured, in turns (default 3)
  --seconds N         length of a measurement by time: ack, latency, move-acks, move-stall,
                      orders-latency, and how long orders-down waits (default 10)
  --records N         size of a measurement by count: bulk, apply, growth, move-bandwidth, move-rate, move-hot
                      (default 400000); of orders-rate, orders-latency and orders-hot at most 40000,
                      of orders-down at most 100000
  --memory-records N  writes of the memory benchmark; its backlog is half of it (default 2000000)
  --journal-rows N    rows of the slot that move-memory moves (default 10000000)
  --json FILE         also write everything that was measured
`;

export interface CommandLine {
  readonly benchmarks: readonly BenchmarkName[];
  readonly options: Options;
  readonly json: string | undefined;
}

export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** @throws UsageError with what is wrong; its message is empty where help was asked for. */
export function commandLine(args: readonly string[]): CommandLine {
  const { values, positionals } = parse(args);
  if (values.help === true) throw new UsageError('');
  if (positionals.length === 0) throw new UsageError('which benchmark?');
  const wanted = new Set(positionals.flatMap(namesIn));
  return {
    benchmarks: BENCHMARKS.filter((name) => wanted.has(name)),
    options: {
      rounds: positive('rounds', values.rounds),
      seconds: positive('seconds', values.seconds),
      records: positive('records', values.records),
      memoryRecords: positive('memory-records', values['memory-records']),
      journalRows: positive('journal-rows', values['journal-rows']),
    },
    json: values.json,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        'rounds': { type: 'string', default: '3' },
        'seconds': { type: 'string', default: '10' },
        'records': { type: 'string', default: '400000' },
        'memory-records': { type: 'string', default: '2000000' },
        'journal-rows': { type: 'string', default: '10000000' },
        'json': { type: 'string' },
        'help': { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function namesIn(text: string): readonly BenchmarkName[] {
  const names = GROUPS.get(text) ?? BENCHMARKS.filter((name) => name === text);
  if (names.length === 0) throw new UsageError(`no such benchmark: ${text}`);
  return names;
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new UsageError(`--${name} takes a whole number from 1, not ${text}`);
  return value;
}
