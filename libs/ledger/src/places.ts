/**
 * Whether each slot is in its place: one shard holds it, the one that the topology names, and no other has anything
 * of it but a signpost. What a move that is open needs besides is counted, not held against it. Pure.
 */
import type { ShardId } from '@millrace/write';
import type { ForeignRows, SlotState } from './snapshot.ts';
import type { Difference, Report } from './verdict.ts';
import type { Moves } from './moves.ts';

/** What one shard says of one slot. */
export interface Side {
  readonly shard: ShardId;
  readonly slotState: SlotState | null;
}

type Known = Pick<Moves, 'owner' | 'isMoving'>;

/** A side that has a slot row. */
type KnownSide = Side & { readonly slotState: SlotState };

/** True where a shard with this slot row applies the slot. */
export function holds(slotState: SlotState | null): boolean {
  return slotState?.state === 'ACTIVE' || slotState?.state === 'MOVING';
}

/** The shard that holds the slot; undefined where none does, or more than one. */
export function holderOf(sides: readonly Side[]): KnownSide | undefined {
  const [first, ...more] = sides.filter(isKnown).filter(({ slotState }) => holds(slotState));
  return more.length === 0 ? first : undefined;
}

/** Holds the sides of one slot against each other and against the topology. */
export function judgeHolder(slot: number, sides: readonly Side[], moves: Known, report: Report): void {
  const owner = moves.owner(slot);
  const holder = holderOf(sides);
  const differs = (shard: ShardId, expected: string, actual: string): void => report.differs({ kind: 'wrong_slot', shard, slot, expected, actual });
  if (holder === undefined) {
    const shard = sides.find(({ slotState }) => holds(slotState))?.shard ?? owner ?? NO_SHARD;
    return differs(shard, 'one shard that holds the slot', describeSides(sides));
  }
  const { shard, slotState } = holder;
  if (moves.isMoving(slot)) {
    if (!moves.isMoving(slot, shard)) differs(shard, 'a shard of the open move holds the slot', describeSides(sides));
    return;
  }
  if (shard !== owner) differs(shard, `shard ${owner} holds the slot, as the topology says`, describeSides(sides));
  if (slotState.state === 'MOVING') differs(shard, 'state ACTIVE: no move of the slot is open', 'state MOVING');
  for (const other of sides.filter(isKnown)) {
    if (other.shard === shard || other.slotState.state === 'INCOMING' || other.slotState.epoch < slotState.epoch) continue;
    differs(other.shard, `an epoch below ${slotState.epoch}, that of shard ${shard}, which holds the slot`, describe(other.slotState));
  }
}

function isKnown(side: Side): side is KnownSide {
  return side.slotState !== null;
}

/** The slot row that a shard keeps of a slot it does not hold: a signpost, or what an aborted move left. */
export function judgeUnheld(slot: number, { shard, slotState }: Side, moves: Known, report: Report): void {
  if (slotState === null) return;
  if (moves.owner(slot) === undefined) report.differs({ kind: 'wrong_slot', shard, slot, expected: 'no such slot', actual: describe(slotState) });
  else if (slotState.state === 'INCOMING' && !moves.isMoving(slot, shard)) {
    report.differs({ kind: 'wrong_slot', shard, slot, expected: 'no slot row, or a signpost: no move of the slot is open', actual: describe(slotState) });
  }
}

/** Rows of a slot on a shard that does not hold it. */
export function judgeForeign(shard: ShardId, foreign: ForeignRows, moves: Known, report: Report): void {
  const owner = moves.owner(foreign.slot);
  judgeRows(shard, foreign, moves, report, { kind: 'wrong_shard', expected: owner === undefined ? 'no such slot' : `no rows: shard ${owner} owns the slot` });
}

/** What a mover and a writer note for a move. */
export function judgeNotes(shard: ShardId, notes: ForeignRows, moves: Known, report: Report): void {
  judgeRows(shard, notes, moves, report, { kind: 'move_leftover', expected: 'none: no move of the slot is open' });
}

function judgeRows(shard: ShardId, { slot, table, rows, sample }: ForeignRows, moves: Known, report: Report, difference: Pick<Difference, 'kind' | 'expected'>): void {
  if (moves.isMoving(slot, shard)) report.agrees('movingRows', Number(rows));
  else report.differs({ ...difference, shard, slot, actual: `${rows} rows in ${table}, the first ${sample}` }, Number(rows));
}

function describeSides(sides: readonly Side[]): string {
  const known = sides.filter(isKnown).map(({ shard, slotState }) => `shard ${shard}: ${describe(slotState)}`);
  return known.length === 0 ? 'no shard has a slot row' : known.join('; ');
}

function describe({ state, epoch, movedTo }: SlotState): string {
  return `${state}${movedTo === null ? '' : ` to ${movedTo}`}, epoch ${epoch}`;
}

const NO_SHARD = 'none' as ShardId;
