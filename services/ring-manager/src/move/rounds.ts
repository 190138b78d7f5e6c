/**
 * A round: the positions are read first, then everything that turns from the cursors up to them wrote is brought over,
 * in as many transactions as it is large. A turn that commits meanwhile belongs to the next round.
 */
import { applyDelta, type Delta } from './delta.ts';
import { cursorsOf, goOn, STREAMS, type CopyState, type Cursors } from './incoming.ts';
import { DELTA_JOURNAL_ROWS_MAX, DELTA_KEYS_MAX } from './limits.ts';
import type { Mover } from './mover.ts';
import { rangeEnd } from './notes.sql.ts';
import { readPositionRows, type PositionRow } from './side.sql.ts';
import { SNAPSHOT } from './snapshot.ts';

export interface Round {
  readonly state: CopyState;
  /** Records that the source had applied since the round before. */
  readonly records: number;
  readonly ms: number;
}

export async function runRound(mover: Mover, before: CopyState, pass: () => Promise<void>): Promise<Round> {
  const startedAtMs = performance.now();
  const to = cursorsOf(await mover.source.query<PositionRow>(readPositionRows(mover.order.slot)));
  const records = distance(before.cursors, to);
  let state = before;
  while (distance(state.cursors, to) > 0) {
    await pass();
    state = await bring(mover, state, to);
  }
  if (records > 0) state = { ...state, rounds: state.rounds + 1 };
  return { state, records, ms: performance.now() - startedAtMs };
}

/** Records between two sets of cursors, of every stream. */
export function distance(from: Cursors, to: Cursors): number {
  return STREAMS.reduce((sum, stream) => sum + Number(to[stream] - from[stream]), 0);
}

async function bring(mover: Mover, state: CopyState, to: Cursors): Promise<CopyState> {
  const delta = { from: state.cursors, to: await endOfDelta(mover, { from: state.cursors, to }) };
  return goOn(mover, state, async (target) => {
    // Before the comparison has begun, it will see what this brings; afterwards this must see to it itself.
    const compare = state.stage.kind !== 'snapshot';
    const copied = await mover.source.transaction((source) => applyDelta(mover, { source, target }, delta, { compare }), SNAPSHOT);
    return { ...state, cursors: delta.to, rows: state.rows + copied.rows, bytes: state.bytes + copied.bytes };
  });
}

async function endOfDelta({ source, order }: Mover, { from, to }: Delta): Promise<Cursors> {
  const limits = { rowsMax: DELTA_JOURNAL_ROWS_MAX, keysMax: DELTA_KEYS_MAX };
  const ends = await Promise.all(
    STREAMS.map(async (stream) => {
      if (to[stream] === from[stream]) return [stream, to[stream]] as const;
      const rows = await source.query<{ to: bigint }>(rangeEnd({ slot: order.slot, stream, from: from[stream], to: to[stream] }, limits));
      return [stream, rows[0]?.to ?? to[stream]] as const;
    }),
  );
  return Object.fromEntries(ends) as Cursors;
}
