/** The writes of a main job: generated from a seed, or replayed from a file of invoices. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';

import { createGenerator, createReplay, type ReplayReport, type Work } from '@millrace/workload';

import { count } from './output.ts';
import { UsageError } from './usage-error.ts';

export interface Workload {
  readonly what: string;
  readonly works: Iterable<Work> | AsyncIterable<Work>;
  /** What became of the rows of the file. */
  readonly report?: () => ReplayReport;
}

export function generated(writes: number, wishedSeed?: string): Workload {
  const seed = wishedSeed ?? randomBytes(4).toString('hex');
  // Ids of their own for each run: yesterday's accounts are not today's.
  const run = `${Date.now().toString(36)}${randomBytes(2).toString('hex')}`;
  return { what: `${count(writes)} generated writes, seed ${seed}`, works: createGenerator({ seed, run, writes }) };
}

export function replayed(file: string): Workload {
  const path = resolve(file);
  if (!existsSync(path)) throw new UsageError(`There is no file ${path}.`);
  const { writes, report } = createReplay({ file: path });
  return { what: `replay of ${path}`, works: writes, report };
}
