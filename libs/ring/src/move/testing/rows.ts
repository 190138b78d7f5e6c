/**
 * What a slot holds: its two logs, the rows that applying them makes, and the fold that does it.
 *
 * As in the real shards there are tables by offset (journal, parked) and a table by key (accounts); each row belongs to
 * one stream (W7). A row is named by a small number, its place in the primary key order of all tables; its value is a
 * number, 0 where there is no row. So all rows of a slot are one short array, cheap to copy and to compare.
 */
import type { Random } from './random.ts';

export type StreamNo = 0 | 1;
export const STREAMS: readonly StreamNo[] = [0, 1];

export const LOG_RECORDS = 8;
const KEYS = 2;

/** Place of a row among all rows of the slot. */
export type RowNo = number;
export type Rows = number[];

const PARKED = 2 * LOG_RECORDS;
const ACCOUNTS = 2 * PARKED;
export const ROWS = ACCOUNTS + 2 * KEYS;

export const journalRow = (stream: StreamNo, offset: number): RowNo => stream * LOG_RECORDS + offset;
const parkedRow = (stream: StreamNo, offset: number): RowNo => PARKED + stream * LOG_RECORDS + offset;
const accountRow = (stream: StreamNo, key: number): RowNo => ACCOUNTS + stream * KEYS + key;

/** The ranges in which rows are copied and purged: one for each table. */
export const CHUNKS: readonly { readonly from: RowNo; readonly to: RowNo }[] = [
  { from: 0, to: PARKED },
  { from: PARKED, to: ACCOUNTS },
  { from: ACCOUNTS, to: ROWS },
];

/** The offset of a journal row of this stream; undefined for every other row. */
export function journalOffset(row: RowNo, stream: StreamNo): number | undefined {
  const offset = row - stream * LOG_RECORDS;
  return offset >= 0 && offset < LOG_RECORDS ? offset : undefined;
}

export function nameOf(row: RowNo): string {
  if (row >= ACCOUNTS) return `account ${row - ACCOUNTS}`;
  const place = row % PARKED;
  return `${row >= PARKED ? 'parked' : 'journal'} ${place < LOG_RECORDS ? 'x' : 'y'}${place % LOG_RECORDS}`;
}

/** `poison` parks its key; `release` applies what the key has parked, but skips a poisoned head. */
export interface LogRecord {
  readonly key: number;
  readonly kind: 'write' | 'poison' | 'release';
}
export type Log = readonly LogRecord[];

export function createLog(random: Random): Log {
  const calm = random.oneIn(4);
  return Array.from({ length: LOG_RECORDS }, () => {
    const kind = calm ? 'write' : random.pick(['write', 'write', 'write', 'poison', 'release', 'release'] as const);
    return { key: random.below(calm ? KEYS : 1 + random.below(KEYS)), kind };
  });
}

export const emptyRows = (): Rows => new Array<number>(ROWS).fill(0);

const APPLIED = 1;
const SKIPPED = 2;
const POISON = 2;

/** Applies the records [from, to) of a stream to the rows, in order. */
export function fold(rows: Rows, stream: StreamNo, log: Log, { from, to }: { from: number; to: number }): void {
  for (let offset = from; offset < to; offset++) {
    const { key, kind } = log[offset]!;
    if (kind === 'release') release(rows, stream, log, { key, before: offset });
    else if (kind === 'poison') rows[parkedRow(stream, offset)] = POISON;
    else if (firstParked(rows, stream, log, { key, before: offset }) >= 0) rows[parkedRow(stream, offset)] = 1;
    else apply(rows, stream, { key, offset });
    if (kind === 'release') rows[journalRow(stream, offset)] = APPLIED;
  }
}

/** The value of an account depends on every record applied to it, and on their order. */
function apply(rows: Rows, stream: StreamNo, { key, offset }: { key: number; offset: number }): void {
  const account = accountRow(stream, key);
  rows[account] = ((rows[account]! * 31 + offset + 1) % 65_521) + 1;
  rows[journalRow(stream, offset)] = APPLIED;
}

/** Writes journal rows at offsets that are long behind. */
function release(rows: Rows, stream: StreamNo, log: Log, { key, before }: { key: number; before: number }): void {
  for (let head = true; ; head = false) {
    const offset = firstParked(rows, stream, log, { key, before });
    if (offset < 0) return;
    const poison = rows[parkedRow(stream, offset)] === POISON;
    if (poison && !head) return;
    rows[parkedRow(stream, offset)] = 0;
    if (poison) rows[journalRow(stream, offset)] = SKIPPED;
    else apply(rows, stream, { key, offset });
  }
}

function firstParked(rows: Rows, stream: StreamNo, log: Log, { key, before }: { key: number; before: number }): number {
  for (let offset = 0; offset < before; offset++) {
    if (rows[parkedRow(stream, offset)] !== 0 && log[offset]!.key === key) return offset;
  }
  return -1;
}
