/**
 * A round: the positions are read first, then everything that turns from the cursors up to them wrote is brought over,
 * in as many transactions as it is large. A turn that commits meanwhile belongs to the next round.
 *
 * A long round looks meanwhile how much the next one will have to bring: where that is no less than what this one brings in
 * the same time, the slot outruns its mover, and waiting for the end of the round would make the next many times as long.
 */
import { applyDelta, type Delta } from './delta.ts';
import { cursorsOf, goOn, STREAMS, type CopyState, type Cursors } from './incoming.ts';
import { DELTA_JOURNAL_ROWS_FIRST, DELTA_JOURNAL_ROWS_MAX, DELTA_JOURNAL_ROWS_MIN, DELTA_KEYS_MAX, DELTA_MS, OUTRUN_LOOK_MS, SHRINK_SHARE } from './limits.ts';
import type { Mover } from './mover.ts';
import { rangeEnd } from './notes.sql.ts';
import { nextPiece } from './piece.ts';
import { readPositionRows, type PositionRow } from './side.sql.ts';
import { SNAPSHOT } from './snapshot.ts';

export interface Round {
  readonly state: CopyState;
  /** Records that the source had applied since the round before. */
  readonly records: number;
  readonly ms: number;
}

export interface RoundHooks {
  /** Before each transaction. */
  pass(): Promise<void>;
  /** The slot was written so many times as fast as it was brought over. */
  outrun?(growth: number): void;
}

export async function runRound(mover: Mover, before: CopyState, { pass, outrun }: RoundHooks): Promise<Round> {
  const startedAtMs = performance.now();
  const to = await positionsOf(mover);
  const records = distance(before.cursors, to);
  let state = before;
  let rowsMax = DELTA_JOURNAL_ROWS_FIRST;
  let look = { atMs: startedAtMs, source: to, target: before.cursors };
  while (distance(state.cursors, to) > 0) {
    await pass();
    const beganAtMs = performance.now();
    state = await bring(mover, state, to, rowsMax);
    const endedAtMs = performance.now();
    rowsMax = nextPiece(rowsMax, { tookMs: endedAtMs - beganAtMs, wantedMs: DELTA_MS }, { min: DELTA_JOURNAL_ROWS_MIN, max: DELTA_JOURNAL_ROWS_MAX });
    if (!outrun || endedAtMs - look.atMs < OUTRUN_LOOK_MS) continue;
    const source = await positionsOf(mover);
    const growth = distance(look.source, source) / distance(look.target, state.cursors);
    if (growth > SHRINK_SHARE) outrun(growth);
    look = { atMs: endedAtMs, source, target: state.cursors };
  }
  if (records > 0) state = { ...state, rounds: state.rounds + 1 };
  return { state, records, ms: performance.now() - startedAtMs };
}

/** Records between two sets of cursors, of every stream. */
export function distance(from: Cursors, to: Cursors): number {
  return STREAMS.reduce((sum, stream) => sum + Number(to[stream] - from[stream]), 0);
}

/** How far the source is now. */
export async function positionsOf({ source, order }: Mover): Promise<Cursors> {
  return cursorsOf(await source.query<PositionRow>(readPositionRows(order.slot)));
}

async function bring(mover: Mover, state: CopyState, to: Cursors, rowsMax: number): Promise<CopyState> {
  const delta = { from: state.cursors, to: await endOfDelta(mover, { from: state.cursors, to }, rowsMax) };
  return goOn(mover, state, async (target) => {
    // Before the comparison has begun, it will see what this brings; afterwards this must see to it itself.
    const compare = state.stage.kind !== 'snapshot';
    const copied = await mover.source.transaction((source) => applyDelta(mover, { source, target }, delta, { compare }), SNAPSHOT);
    return { ...state, cursors: delta.to, rows: state.rows + copied.rows, bytes: state.bytes + copied.bytes };
  });
}

async function endOfDelta({ source, order }: Mover, { from, to }: Delta, rowsMax: number): Promise<Cursors> {
  const limits = { rowsMax, keysMax: DELTA_KEYS_MAX };
  const ends = await Promise.all(
    STREAMS.map(async (stream) => {
      if (to[stream] === from[stream]) return [stream, to[stream]] as const;
      const rows = await source.query<{ to: bigint }>(rangeEnd({ slot: order.slot, stream, from: from[stream], to: to[stream] }, limits));
      return [stream, rows[0]?.to ?? to[stream]] as const;
    }),
  );
  return Object.fromEntries(ends) as Cursors;
}
