/** The command line: `bench NAME... [--rounds N] [--seconds N] [--records N] [--memory-records N] [--json FILE]`. */
import { parseArgs } from 'node:util';
import type { Options } from './bench.ts';

export const BENCHMARKS = ['ack', 'bulk', 'apply', 'latency', 'memory', 'growth'] as const;
export type BenchmarkName = (typeof BENCHMARKS)[number];

export const USAGE = `Usage: npm run bench -- NAME [OPTIONS]

  NAME  ack | bulk | apply | latency | memory | growth | all; several may be given

  --rounds N          how often each side is measured, in turns (default 3)
  --seconds N         length of a measurement by time: ack, latency (default 10)
  --records N         size of a measurement by count: bulk, apply, growth (default 400000)
  --memory-records N  writes of the memory benchmark; its backlog is half of it (default 2000000)
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
  const unknown = positionals.filter((name) => name !== 'all' && !isBenchmark(name));
  if (unknown.length > 0) throw new UsageError(`no such benchmark: ${unknown.join(', ')}`);
  return {
    benchmarks: BENCHMARKS.filter((name) => positionals.includes('all') || positionals.includes(name)),
    options: {
      rounds: positive('rounds', values.rounds),
      seconds: positive('seconds', values.seconds),
      records: positive('records', values.records),
      memoryRecords: positive('memory-records', values['memory-records']),
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
        'json': { type: 'string' },
        'help': { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function isBenchmark(name: string): name is BenchmarkName {
  return BENCHMARKS.some((known) => known === name);
}

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new UsageError(`--${name} takes a whole number from 1, not ${text}`);
  return value;
}
