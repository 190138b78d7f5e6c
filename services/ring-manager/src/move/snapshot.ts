/**
 * The snapshot: every row of the slot, table by table in chunks of the primary key, piped from shard to shard.
 *
 * The cursors are read before the first chunk, and turns note what they change from there on. So a chunk may hold rows
 * that are newer than the cursors: the rounds bring them again. Journal rows at the cursors and above are left to them.
 */
import { JOURNAL } from '@millrace/slot-processor';
import { must, type Slot } from '@millrace/write';
import type { Sides } from './compare.ts';
import { createCounter, type Ends } from './delta.ts';
import { cursorsOf, goOn, STREAMS, type CopyState, type Cursors, type Stage } from './incoming.ts';
import { BY_INDEX_ONLY, CHUNK_BYTES, CHUNK_MS, CHUNK_ROWS_FIRST, CHUNK_ROWS_MAX, CHUNK_ROWS_MIN, CHUNK_TIMEOUT_MS } from './limits.ts';
import { tableOf, type Mover } from './mover.ts';
import { nextPiece } from './piece.ts';
import type { Rests } from './rest.ts';
import { readPositionRows, type PositionRow } from './side.sql.ts';
import { boundOf, copyOutSql, within, type Key, type KeyRange, type MoveTable } from './table.sql.ts';

/** Of a read on the source. */
export const READ = { readOnly: true, statementTimeoutMs: CHUNK_TIMEOUT_MS, settings: BY_INDEX_ONLY } as const;
/** Several reads of one state. */
export const SNAPSHOT = { ...READ, isolation: 'repeatable read' } as const;

/** The source is MOVING: the cursors are where it is now. */
export async function beginCopy(mover: Mover): Promise<CopyState> {
  const cursors = cursorsOf(await mover.source.query<PositionRow>(readPositionRows(mover.order.slot)));
  const stage = { kind: 'snapshot', table: firstTable(mover).name, after: null } as const;
  return goOn(mover, undefined, async () => ({ version: 0, cursors, stage, rows: 0, bytes: 0, rounds: 0, compared: [] }));
}

export async function copySnapshot(mover: Mover, begun: CopyState, rests: Rests): Promise<CopyState> {
  let state = begun;
  let rows = CHUNK_ROWS_FIRST;
  while (state.stage.kind === 'snapshot') {
    await mover.checkpoint('chunk');
    const startedAtMs = performance.now();
    const next = await copyChunk(mover, state, rows);
    const copied = { rows: next.rows - state.rows, bytes: next.bytes - state.bytes };
    state = next;
    const workedMs = performance.now() - startedAtMs;
    const bytesPerSecond = Math.round((copied.bytes * 1000) / workedMs);
    await mover.reporter.tell('copying', { rows: state.rows, bytes: state.bytes, bytesPerSecond });
    const wantedMs = await rests.after({ workedMs, idleMs: CHUNK_MS });
    // The end of the copy tells little.
    if (copied.rows >= rows) rows = nextPiece(rows, { tookMs: workedMs, wantedMs }, { min: CHUNK_ROWS_MIN, max: rowsFilling(copied) });
    await mover.pace.take(copied.bytes, mover.signal);
  }
  return state;
}

function rowsFilling({ rows, bytes }: { readonly rows: number; readonly bytes: number }): number {
  return Math.min(CHUNK_ROWS_MAX, Math.max(CHUNK_ROWS_MIN, (CHUNK_BYTES * rows) / bytes));
}

/** Where a part of a table ends that has so many rows from a key on; null: at the end of the table. */
export async function endOf(source: Sides['source'], slot: Slot, table: MoveTable, { after, rows, limits }: { readonly after: Key | null; readonly rows: number; readonly limits: Cursors }): Promise<Key | null> {
  const found = await source.query<{ key: string[] }>(boundOf(table, slot, partOf(table, { after, to: null }, limits), rows));
  return found[0]?.key ?? null;
}

/** A range; of the journal only what is below the limits. */
export function partOf(table: MoveTable, range: KeyRange, limits: Cursors): string {
  if (table.name !== JOURNAL.name) return within(table, range);
  return `${within(table, range)} and (${STREAMS.map((stream) => `t.stream = '${stream}' and t."offset" < ${limits[stream]}`).join(' or ')})`;
}

export function firstTable({ tables }: Pick<Mover, 'tables'>): MoveTable {
  return must(tables[0], 'a slot has tables');
}

/** The table after this one; undefined behind the last. */
export function tableAfter({ tables }: Pick<Mover, 'tables'>, name: string): MoveTable | undefined {
  return tables[tables.findIndex((table) => table.name === name) + 1];
}

/** The next rows, of as many tables as it takes: a slot of few rows is copied at once. */
function copyChunk(mover: Mover, begun: CopyState, rowsMax: number): Promise<CopyState> {
  return goOn(mover, begun, (target) =>
    mover.source.transaction(async (source) => {
      let state = begun;
      for (let left = rowsMax; left > 0 && state.stage.kind === 'snapshot'; left = rowsMax - (state.rows - begun.rows)) {
        state = await copyPart(mover, { source, target }, state, { ...state.stage, rows: left });
      }
      return state;
    }, READ),
  );
}

async function copyPart(mover: Mover, ends: Ends, state: CopyState, part: { readonly table: string; readonly after: Key | null; readonly rows: number }): Promise<CopyState> {
  const { slot } = mover.order;
  const table = tableOf(mover, part.table);
  const to = await endOf(ends.source, slot, table, { ...part, limits: state.cursors });
  const counter = createCounter();
  await counter.copy(ends, table, copyOutSql(table, slot, partOf(table, { after: part.after, to }, state.cursors)));
  const { rows, bytes } = counter.total();
  return { ...state, stage: stageAfter(mover, state, table, to), rows: state.rows + rows, bytes: state.bytes + bytes };
}

function stageAfter(mover: Mover, { cursors }: CopyState, table: MoveTable, to: Key | null): Stage {
  if (to !== null) return { kind: 'snapshot', table: table.name, after: to };
  const next = tableAfter(mover, table.name);
  if (next) return { kind: 'snapshot', table: next.name, after: null };
  return { kind: 'check', table: firstTable(mover).name, after: null, until: cursors, rows: 0n, checksum: 0n };
}
