/**
 * A delta: what turns from a range of positions wrote on the source, brought to the target.
 *
 * Journal rows of the range are new there and go in by COPY. Noted keys are replaced: deleted, and copied as they are
 * now, which may be newer than the range, because whoever changed them since has noted them for the next one. A
 * released or skipped record has notes of its journal row, behind the range, and of its parked row, which is gone.
 */
import { JOURNAL } from '@millrace/slot-processor';
import type { Tx } from '@millrace/postgres';
import { must, type Stream } from '@millrace/write';
import { mustEqual, sumBoth } from './compare.ts';
import { STREAMS, type Cursors } from './incoming.ts';
import { tableOf, type Mover } from './mover.ts';
import { notedKeys, type NotedKey } from './notes.sql.ts';
import { copyInSql, copyKeysOutSql, copyOutSql, deleteKeys, sumOf, sumOfKeys, type Key, type MoveTable } from './table.sql.ts';

export interface Delta {
  readonly from: Cursors;
  /** Not included. */
  readonly to: Cursors;
}

export interface Copied {
  readonly rows: number;
  readonly bytes: number;
}

/** Sees one state of the source, and writes in one transaction on the target. */
export interface Ends {
  readonly source: Tx;
  readonly target: Tx;
}

/** @throws VerificationFailed where `compare` is asked for and the rows of the delta differ afterwards */
export async function applyDelta(mover: Mover, ends: Ends, delta: Delta, { compare }: { readonly compare: boolean }): Promise<Copied> {
  const parts = await partsOf(mover, ends.source, delta);
  const counter = createCounter();
  // Awaited by the transaction: nothing of them is asked before the copies end.
  for (const { table, keys } of parts.keys) void ends.target.query(deleteKeys(table, mover.order.slot, keys));
  for (const where of parts.journal) await counter.copy(ends, parts.table, copyOutSql(parts.table, mover.order.slot, where));
  for (const { table, keys } of parts.keys) await counter.copy(ends, table, copyKeysOutSql(table, mover.order.slot, keys));
  if (compare) await compareDelta(mover, ends, parts);
  return counter.total();
}

/** Counts what passes from one shard to the other. */
export function createCounter(): { copy(ends: Ends, table: MoveTable, sql: string): Promise<void>; total(): Copied } {
  let rows = 0;
  let bytes = 0;
  async function* counted(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      bytes += chunk.length;
      yield chunk;
    }
  }
  return {
    async copy({ source, target }, table, sql) {
      rows += await target.copyIn(copyInSql(table), counted(source.copyOut(sql)));
    },
    total: () => ({ rows, bytes }),
  };
}

/** Journal rows by their offsets, as a condition. */
export function offsetsWithin(stream: Stream, { from, to }: { readonly from: bigint; readonly to: bigint }): string {
  return `t.stream = '${stream}' and t."offset" >= ${from} and t."offset" < ${to}`;
}

interface Parts {
  /** The journal's table. */
  readonly table: MoveTable;
  /** Conditions on it. */
  readonly journal: readonly string[];
  readonly keys: readonly { readonly table: MoveTable; readonly keys: readonly Key[] }[];
}

async function partsOf(mover: Mover, source: Tx, { from, to }: Delta): Promise<Parts> {
  const moved = STREAMS.filter((stream) => to[stream] > from[stream]);
  const rangeOf = (stream: Stream) => ({ from: from[stream], to: to[stream] });
  const noted = (await Promise.all(moved.map((stream) => source.query<NotedKey>(notedKeys({ slot: mover.order.slot, stream, ...rangeOf(stream) }))))).flat();
  const byTable = new Map<string, Key[]>();
  for (const { table, key } of noted) {
    if (table === JOURNAL.name && isWithin(key, from, to)) continue;
    const keys = byTable.get(table) ?? [];
    keys.push(key);
    byTable.set(table, keys);
  }
  return {
    table: tableOf(mover, JOURNAL.name),
    journal: moved.map((stream) => offsetsWithin(stream, rangeOf(stream))),
    keys: [...byTable].map(([table, keys]) => ({ table: tableOf(mover, table), keys })),
  };
}

/** A journal row that its offset brings already. */
function isWithin([stream, offset]: Key, from: Cursors, to: Cursors): boolean {
  const of = must(STREAMS.find((name) => name === stream), 'a journal key names a stream');
  const at = BigInt(must(offset, 'a journal key has an offset'));
  return at >= from[of] && at < to[of];
}

async function compareDelta(mover: Mover, ends: Ends, { table: journal, journal: ranges, keys }: Parts): Promise<void> {
  const { slot } = mover.order;
  await Promise.all([
    ...ranges.map(async (where) => mustEqual(mover, journal, where, await sumBoth(ends, sumOf(journal, slot, where)))),
    ...keys.map(async (part) => mustEqual(mover, part.table, `${part.keys.length} changed keys`, await sumBoth(ends, sumOfKeys(part.table, slot, part.keys)))),
  ]);
}

