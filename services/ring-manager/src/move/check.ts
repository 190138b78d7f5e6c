/**
 * The comparison before the fence: every range of every table, counted and summed on both sides at the same time.
 *
 * Writes go on meanwhile. What turns have written since the last round is noted, so both sides leave those keys out; the
 * next round brings them and compares them itself, before a range or, where little has changed, behind the last one. So
 * when the last range is equal, the whole target is equal to the source as of the cursors, and every delta after that
 * keeps it so.
 */
import type { Brake } from './brake.ts';
import { mustEqual, sumBoth, type Sides } from './compare.ts';
import { goOn, type CopyState, type Cursors, type Stage } from './incoming.ts';
import { CHECK_KEYS_MAX, CHECK_RANGE_MS, CHECK_RECORDS_BEHIND_MAX, CHECK_ROUND_MS_MAX, CHECK_ROWS_FIRST, CHECK_ROWS_MAX, CHECK_ROWS_MIN, SHRINK_SHARE } from './limits.ts';
import { tableOf, type Mover } from './mover.ts';
import { notedSince } from './notes.sql.ts';
import { nextPiece } from './piece.ts';
import type { Rests } from './rest.ts';
import { distance, positionsOf, runRound, type Round } from './rounds.ts';
import { endOf, partOf, SNAPSHOT, tableAfter } from './snapshot.ts';
import { minus, NO_ROWS, plus, sumOf, sumOfKeys, textOfRange, type Key, type KeyRange, type MoveTable, type Sum } from './table.sql.ts';

type Checking = Stage & { readonly kind: 'check' };

/** Range by range, a range being of several tables where they are small. @throws VerificationFailed at the first range that differs */
export async function checkRanges(mover: Mover, begun: CopyState, { brake, rests }: { readonly brake: Brake; readonly rests: Rests }): Promise<CopyState> {
  let state = begun;
  let rows = CHECK_ROWS_FIRST;
  let lastMs = Infinity;
  let isStuck = false;
  while (state.stage.kind === 'check') {
    brake.check();
    const round: Round | undefined = isStuck || (await isBehind(mover, state)) ? await runRound(mover, state, { pass: () => mover.checkpoint('round'), outrun: brake.harder }) : undefined;
    const from: CopyState = round?.state ?? state;
    await mover.checkpoint('check');
    const startedAtMs = performance.now();
    state = await checkRange(mover, from, rows);
    const checkedMs = performance.now() - startedAtMs;
    isStuck = state.stage === from.stage;
    if (round) {
      // Otherwise rounds would grow with every range, where the slot is written faster than it is brought over.
      const outrun = round.ms > CHECK_ROUND_MS_MAX && round.ms > lastMs * SHRINK_SHARE;
      if (outrun || isStuck) brake.harder(round.ms / lastMs);
      lastMs = round.ms;
    }
    await mover.reporter.tell('checking', { rows: state.rows, bytes: state.bytes, rounds: state.rounds, tables: state.compared });
    // A rest would only let it run further ahead.
    const wantedMs = brake.level() === 0 ? await rests.after({ workedMs: checkedMs, idleMs: CHECK_RANGE_MS }) : CHECK_RANGE_MS;
    rows = nextPiece(rows, { tookMs: checkedMs, wantedMs }, { min: CHECK_ROWS_MIN, max: CHECK_ROWS_MAX });
  }
  return state;
}

/** A comparison leaves out what has changed since the last round: where that is much, another round costs less. */
async function isBehind(mover: Mover, { cursors }: CopyState): Promise<boolean> {
  return distance(cursors, await positionsOf(mover)) > CHECK_RECORDS_BEHIND_MAX;
}

/** The next rows, of as many tables as it takes. The stage stays where too much has changed since the last round. */
function checkRange(mover: Mover, begun: CopyState, rowsMax: number): Promise<CopyState> {
  return goOn(mover, begun, (target) =>
    mover.source.transaction(async (source) => {
      let state = begun;
      for (let left = rowsMax; left > 0 && state.stage.kind === 'check'; ) {
        const { stage } = state;
        const table = tableOf(mover, stage.table);
        const range = { after: stage.after, to: await endOf(source, mover.order.slot, table, { after: stage.after, rows: left, limits: stage.until }) };
        const sum = await sumRange(mover, { source, target }, { cursors: state.cursors, until: stage.until, table, range });
        if (sum === undefined) return state;
        state = after(mover, state, stage, { to: range.to, sum: plus(stage, sum) });
        // It holds all that was left: rows that have changed since are among them, and are not counted in the sum.
        if (range.to !== null) return state;
        left -= Number(sum.rows);
      }
      return state;
    }, SNAPSHOT),
  );
}

interface Part {
  readonly table: MoveTable;
  readonly range: KeyRange;
  readonly until: Cursors;
  /** Where the target is. */
  readonly cursors: Cursors;
}

/** The rows of a range, equal on both sides; undefined where too much has changed since the last round. */
async function sumRange(mover: Mover, sides: Sides, { table, range, until, cursors }: Part): Promise<Sum | undefined> {
  const { slot } = mover.order;
  const where = partOf(table, range, until);
  const whole = sumBoth(sides, sumOf(table, slot, where));
  const noted = sides.source.query<{ key: Key }>(notedSince(slot, table.name, cursors, CHECK_KEYS_MAX + 1));
  const [all, changed] = await Promise.all([whole, noted]);
  if (changed.length > CHECK_KEYS_MAX) return undefined;
  const keys = changed.map(({ key }) => key);
  const left = keys.length === 0 ? { source: NO_ROWS, target: NO_ROWS } : await sumBoth(sides, sumOfKeys(table, slot, keys, where));
  const sums = { source: minus(all.source, left.source), target: minus(all.target, left.target) };
  mustEqual(mover, table, textOfRange(range), sums);
  return sums.source;
}

function after(mover: Mover, state: CopyState, stage: Checking, { to, sum }: { readonly to: Key | null; readonly sum: Sum }): CopyState {
  if (to !== null) return { ...state, stage: { ...stage, after: to, ...sum } };
  const compared = [...state.compared, { table: stage.table, rows: sum.rows.toString(), checksum: sum.checksum.toString(), when: 'before_fence' as const }];
  const next = tableAfter(mover, stage.table);
  return { ...state, compared, stage: next ? { ...stage, table: next.name, after: null, ...NO_ROWS } : { kind: 'rounds' } };
}
