/** What the figures were measured on. */
import { execFile } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';
import { promisify } from 'node:util';
import { query } from './postgres.ts';

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
  readonly java: string;
  readonly postgres: string;
  readonly kafka: string;
}

export async function describeMachine({ databaseUrl, kafka }: { databaseUrl: string; kafka: string }): Promise<Machine> {
  const { stderr } = await promisify(execFile)('java', ['-version']);
  const [row] = await query(databaseUrl, 'show server_version');
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    java: /"([^"]+)"/.exec(stderr)?.[1] ?? 'unknown',
    postgres: String(row?.['server_version']),
    kafka,
  };
}
