/** A delta: what a stretch of both logs changed on the source, as the rows are now. */
import { VERIFICATION_FAILED, type Steps } from './actor.ts';
import type { Drive } from './guard.ts';
import { journalOffset, journalRow, STREAMS, type RowNo } from './rows.ts';
import type { Positions, Shard } from './shard.ts';
import type { Tx } from './transaction.ts';

export interface Delta {
  /** The cursor of the target behind it. */
  readonly to: Positions;
  /** A value of 0 deletes the row. */
  readonly rows: ReadonlyMap<RowNo, number>;
}

/** Positions, notes, rows: three statements, between which the source goes on. */
export function* readDelta({ world, move }: Drive, from: Positions): Steps<Delta> {
  const { source } = move;
  const ends = [from, from] as [Positions, Positions];
  const read = world.rules.roundReadsPositionFirst ? (['positions', 'notes'] as const) : (['notes', 'positions'] as const);
  let noted: readonly RowNo[] = [];
  for (const what of read) {
    yield `reads the ${what} of the source`;
    if (what === 'positions') ends[1] = source.positions;
    else noted = notedRows(source, from, world.rules.roundReadsPositionFirst ? ends[1] : undefined);
  }
  yield 'reads the rows of the delta';
  const to = ends[1];
  const numbers = new Set([...noted, ...STREAMS.flatMap((stream) => range(from[stream], to[stream]).map((offset) => journalRow(stream, offset)))]);
  return { to, rows: new Map([...numbers].map((row) => [row, source.rows[row]!])) };
}

/** The rows of notes in [from, to); without an end, all from there. */
export function notedRows({ notes }: Shard, from: Positions, to: Positions | undefined): readonly RowNo[] {
  return notes.filter(({ stream, offset }) => offset >= from[stream] && (!to || offset < to[stream])).map(({ row }) => row);
}

/** Below the cursor, and not noted since: the rows that both sides must have alike. */
export function settledRows({ world: { rules }, move: { source } }: Drive, cursor: Positions): (row: RowNo) => boolean {
  if (!rules.compareLeavesOutUncovered) return () => true;
  const noted = new Set(notedRows(source, cursor, undefined));
  return (row) => !noted.has(row) && STREAMS.every((stream) => (journalOffset(row, stream) ?? -1) < cursor[stream]);
}

/** Stores the rows and compares them by their keys. @throws VERIFICATION_FAILED where one did not arrive */
export function writeDelta({ world }: Drive, tx: Tx, { rows }: Delta): void {
  const arrived = arriving(world, [...rows]);
  if (arrived.length < rows.size && world.rules.compareBeforeActivation) throw VERIFICATION_FAILED;
  tx.writes.push(() => store(tx.shard, arrived));
}

/** What is left of rows on their way, where the world loses some. */
export function arriving({ random, faults }: Drive['world'], rows: readonly (readonly [RowNo, number])[]): readonly (readonly [RowNo, number])[] {
  return faults.rowLost === 0 ? rows : rows.filter(() => !random.oneIn(faults.rowLost));
}

export function store(shard: Shard, rows: readonly (readonly [RowNo, number])[]): void {
  shard.rows = shard.rows.slice();
  for (const [row, value] of rows) shard.rows[row] = value;
}

function range(from: number, to: number): readonly number[] {
  return Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);
}
