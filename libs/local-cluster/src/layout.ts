/**
 * What was decided when the data of a local cluster was made, and must not change under it; and yesterday's ports,
 * which are wishes only. `layout.json` in the cluster's directory.
 */
import { join } from 'node:path';

import { assert } from '@millrace/write';
import { z } from 'zod';

import { readJson, writeJson } from './atomic-file.ts';

export interface Layout {
  readonly slots: number;
  readonly shards: readonly string[];
  readonly brokers: 1 | 3;
  readonly topicPrefix: string;
  readonly ports: Readonly<Record<string, number>>;
}

export interface WishedLayout {
  readonly slots?: number;
  readonly shards?: number;
  readonly brokers?: 1 | 3;
}

export const SHARDS_MAX = 26;
const DEFAULTS = { slots: 64, shards: 2, brokers: 1 } as const;

const schema = z.object({
  slots: z.int().positive(),
  shards: z.array(z.string()).min(1),
  brokers: z.union([z.literal(1), z.literal(3)]),
  topicPrefix: z.string(),
  ports: z.record(z.string(), z.int()),
});

/** The wish differs from what the data was made with. */
export class LayoutMismatch extends Error {
  override readonly name = 'LayoutMismatch';
  readonly code = 'layout_mismatch';
  readonly retryable = false;
}

/** The layout of the data that is there, or a new one. @throws LayoutMismatch where the data cannot follow the wish. */
export function layoutOf(dir: string, wished: WishedLayout): Layout {
  const kept = readJson<Layout>(fileOf(dir), schema);
  if (kept === undefined) return newLayout(wished);
  refuseChange(dir, 'slots', wished.slots, kept.slots);
  refuseOtherShards(dir, wished.shards, kept.shards);
  refuseChange(dir, 'brokers', wished.brokers, kept.brokers);
  return kept;
}

/** Whether a cluster was made here, by this version. */
export function hasLayout(dir: string): boolean {
  try {
    return readJson<Layout>(fileOf(dir), schema) !== undefined;
  } catch {
    return false; // damaged, of another version, or another program's: nothing that proves a cluster
  }
}

export function saveLayout(dir: string, layout: Layout): void {
  writeJson(fileOf(dir), layout);
}

function newLayout(wished: WishedLayout): Layout {
  const { slots = DEFAULTS.slots, shards = DEFAULTS.shards, brokers = DEFAULTS.brokers } = wished;
  assert(Number.isInteger(shards) && shards >= 1 && shards <= SHARDS_MAX, `1 to ${SHARDS_MAX} shards`);
  const ids = Array.from({ length: shards }, (_, index) => String.fromCharCode('a'.charCodeAt(0) + index));
  return { slots, shards: ids, brokers, topicPrefix: '', ports: {} };
}

function refuseChange(dir: string, what: string, wished: number | undefined, kept: number): void {
  if (wished === undefined || wished === kept) return;
  throw new LayoutMismatch(
    `The data in ${dir} was made with ${kept} ${what}, not ${wished}: leave the option out to continue with it, ` +
      'or add --fresh to begin with new data.',
  );
}

/** Shards join and leave while the cluster runs, so their number may be another than the one it was made with. */
function refuseOtherShards(dir: string, wished: number | undefined, kept: readonly string[]): void {
  if (wished === undefined || wished === kept.length) return;
  throw new LayoutMismatch(
    `The cluster in ${dir} has ${kept.length} shard${kept.length === 1 ? '' : 's'} (${kept.join(', ')}), not ${wished}: leave the option out to continue ` +
      'with them, and let shards join or leave while it runs (millrace ring add, millrace ring remove); or add --fresh to ' +
      'begin with new data.',
  );
}

function fileOf(dir: string): string {
  return join(dir, 'layout.json');
}
