/** The first keys at which both sides differ, of a range whose sums are not equal. */
import type { Slot } from '@millrace/write';
import type { Sides } from './compare.ts';
import { DIFFERENCES_MAX, DIFFERENCES_ROWS_MAX } from './limits.ts';
import { partOf } from './snapshot.ts';
import type { Cursors } from './incoming.ts';
import { boundOf, hashesOf, type Key, type KeyRange, type MoveTable } from './table.sql.ts';
import type { Difference } from './types.ts';

interface Search {
  readonly table: MoveTable;
  readonly slot: Slot;
  readonly range: KeyRange;
  readonly limits: Cursors;
  /** Keys that do not count. */
  readonly except: readonly Key[];
  /** Whether rows of the target alone count. */
  readonly exact: boolean;
}

interface HashRow {
  readonly key: Key;
  readonly hash: bigint;
}

/** Reads both sides in windows, so that what is held is bounded. */
export async function findDifferences({ source, target }: Sides, { table, slot, range, limits, except, exact }: Search): Promise<readonly Difference[]> {
  const found: Difference[] = [];
  const skipped = new Set(except.map(nameOf));
  for (let after = range.after; found.length < DIFFERENCES_MAX; ) {
    const left = partOf(table, { after, to: range.to }, limits);
    const [bound] = await source.query<{ key: Key }>(boundOf(table, slot, left, DIFFERENCES_ROWS_MAX));
    const where = partOf(table, { after, to: bound?.key ?? range.to }, limits);
    const [here, there] = await Promise.all([
      source.query<HashRow>(hashesOf(table, slot, where, DIFFERENCES_ROWS_MAX)),
      target.query<HashRow>(hashesOf(table, slot, where, 2 * DIFFERENCES_ROWS_MAX)),
    ]);
    found.push(...differ(here, there).filter(({ key, on }) => !skipped.has(nameOf(key)) && (exact || on !== 'target')));
    if (!bound) break;
    after = bound.key;
  }
  return found.slice(0, DIFFERENCES_MAX);
}

function differ(here: readonly HashRow[], there: readonly HashRow[]): readonly Difference[] {
  const others = new Map(there.map((row) => [nameOf(row.key), row.hash]));
  const found: Difference[] = [];
  for (const { key, hash } of here) {
    const other = others.get(nameOf(key));
    others.delete(nameOf(key));
    if (other !== hash) found.push({ key, on: other === undefined ? 'source' : 'both' });
  }
  for (const { key } of there) if (others.has(nameOf(key))) found.push({ key, on: 'target' });
  return found;
}

function nameOf(key: Key): string {
  return key.join('\0');
}
