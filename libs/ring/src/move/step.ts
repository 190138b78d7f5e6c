/**
 * A move of one slot, decided: which step comes next, from the rows on both shards. Pure.
 *
 * No step is remembered anywhere else. Whoever drives the move reads the rows and asks; so a mover that dies, or is
 * followed by another, leaves nothing behind but rows.
 *
 *     forward   prepare -> open -> copy -> finish -> publish -> purge -> done
 *     abort     reject -> reactivate -> clear -> aborted            possible until the target is ACTIVE
 *
 * | step | on | in one transaction, but for the copy and what goes in batches |
 * |---|---|---|
 * | prepare | target | no row, or one of an earlier move, becomes INCOMING; epoch = source's + 1; a fresh `incoming` row |
 * | open | both | what an earlier move left on the target goes, in batches; then on the source ACTIVE -> MOVING, under the position locks of every stream: from here every turn notes what it changes |
 * | copy | both | chunks; rounds; comparison; then the fence: MOVING -> MOVED, under the position locks of every stream |
 * | finish | target | last delta, compared, positions, INCOMING -> ACTIVE |
 * | publish | control | the topology names the target, by compare-and-set |
 * | purge | source | the slot's rows and notes go, in batches; the slot row stays and points to the target |
 * | reject | target | INCOMING -> ABORTED; so too a target that has lost what it had of the move: epoch = source's + 1 |
 * | reactivate | source | MOVING or MOVED -> ACTIVE, epoch = target's + 1, move null, under the position locks of every stream |
 * | clear | both | the target's copied rows and the source's notes go, in batches |
 *
 * Each of these transactions first locks the slot row that it writes under and finds its move and its fencing token
 * there (R5). The steps of one row follow each other, so a step done twice is refused by the state that it finds.
 * Before it looks at the rows, a mover claims them: it locks the target's row, which it makes where there is none, then
 * the source's, and writes its token into both. `testing/` holds a model of all this, and explores it.
 */
import type { ShardId } from '@millrace/write';

export type SlotState = 'INCOMING' | 'ACTIVE' | 'MOVING' | 'MOVED' | 'ABORTED';

/** The slot's row on one shard. */
export interface SlotSide {
  readonly state: SlotState;
  /** Of the slot's ownership: it rises with every change of owner. */
  readonly epoch: bigint;
  /** The last move that changed the row; null where none did, and after a reactivation. */
  readonly move: bigint | null;
  readonly movedTo: ShardId | null;
}

export interface MoveView {
  readonly move: bigint;
  /** `abort` is too late once the target is ACTIVE by this move: the move then goes forward. */
  readonly goal: 'forward' | 'abort';
  readonly source: ShardId;
  readonly target: ShardId;
  readonly sourceSide: SlotSide | undefined;
  readonly targetSide: SlotSide | undefined;
  /** The newest topology names the target. */
  readonly published: boolean;
  /** Forward: rows or notes on the source. After a rejection: rows on the target, notes on the source. Undefined: not looked for. */
  readonly leftovers: boolean | undefined;
}

export type MoveStep =
  | { readonly kind: 'prepare' | 'open' | 'copy' | 'finish' | 'publish' | 'purge' | 'done' | 'reject' | 'reactivate' | 'clear' | 'aborted' }
  /** No step of a move leaves such rows: an operator must look at them. Read twice, under a fresh claim, before saying so. */
  | { readonly kind: 'stuck'; readonly reason: string };

/** What the target's row says of this move. `none`: it has no part in it yet. */
type TargetPart = 'none' | 'incoming' | 'active' | 'aborted';
/** What the source's row says of this move. `owner`: not touched by it; `returned`: reactivated by it. */
type SourcePart = 'owner' | 'moving' | 'moved' | 'returned';
interface Unexplained {
  readonly why: string;
}

export function nextStep(view: MoveView): MoveStep {
  const target = targetPart(view);
  if (typeof target === 'object') return stuck(view, target.why);
  const source = sourcePart(view, target);
  if (typeof source === 'object') return stuck(view, source.why);
  if (view.published && target !== 'active') return stuck(view, 'the topology names the target, which is not ACTIVE by this move');
  switch (target) {
    case 'none':
      return prepareOrLeave(view, source);
    case 'incoming':
      return forwardOrReject(view, source);
    case 'active':
      return complete(view, source);
    case 'aborted':
      return giveBack(view, source);
  }
}

function prepareOrLeave(view: MoveView, source: SourcePart): MoveStep {
  if (source === 'moving' || source === 'moved') return rejectLost(view);
  if (source !== 'owner') return stuck(view, 'the source is part of this move, the target has no row of it');
  return { kind: view.goal === 'abort' ? 'aborted' : 'prepare' };
}

/** The target's disk was lost, or set back to before it was prepared. The source has every row until the target is published. */
function rejectLost(view: MoveView): MoveStep {
  if (view.goal === 'abort') return { kind: 'reject' };
  return stuck(view, 'the source is part of this move, the target has lost what it had of it: abort the move');
}

function forwardOrReject(view: MoveView, source: SourcePart): MoveStep {
  if (source === 'returned') return stuck(view, 'the source is active again, the target is not rejected');
  if (view.goal === 'abort') return { kind: 'reject' };
  switch (source) {
    case 'owner':
      return { kind: 'open' };
    case 'moving':
      return { kind: 'copy' };
    case 'moved':
      return { kind: 'finish' };
  }
}

/** The target owns the slot: there is no way back, whatever the goal. */
function complete(view: MoveView, source: SourcePart): MoveStep {
  if (source !== 'moved') return stuck(view, 'the target is ACTIVE, the source has not given the slot up');
  if (!view.published) return { kind: 'publish' };
  return { kind: view.leftovers === false ? 'done' : 'purge' };
}

/** The target is rejected: there is no way forward, whatever the goal. */
function giveBack(view: MoveView, source: SourcePart): MoveStep {
  if (source === 'moving' || source === 'moved') return { kind: 'reactivate' };
  return { kind: view.leftovers === false ? 'aborted' : 'clear' };
}

function targetPart({ move, targetSide: row, sourceSide: source }: MoveView): TargetPart | Unexplained {
  if (!row) return 'none';
  if (row.move !== null && row.move > move) return { why: 'the target has a later move' };
  if (row.move !== move) return earlierPart(row, source);
  switch (row.state) {
    case 'INCOMING':
      return 'incoming';
    case 'ACTIVE':
      return 'active';
    case 'ABORTED':
      return 'aborted';
    case 'MOVING':
    case 'MOVED':
      return { why: 'this move brings the slot to the target, whose row gives it away by the same move' };
  }
}

/** A row of an earlier move, or of none. A rejected one may be an epoch ahead of a source that was never opened. */
function earlierPart(row: SlotSide, source: SlotSide | undefined): TargetPart | Unexplained {
  if (row.state !== 'MOVED' && row.state !== 'ABORTED') return { why: 'an earlier move has not ended on the target' };
  if (source && row.epoch > source.epoch + 1n) return { why: "the target's epoch is ahead of the source's" };
  return 'none';
}

function sourcePart(view: MoveView, target: TargetPart): SourcePart | Unexplained {
  const { move, sourceSide: row } = view;
  if (!row) return { why: 'the source has no row of the slot' };
  if (row.move !== null && row.move > move) return { why: 'the source has a later move' };
  if (row.move === move) return openedPart(view, row, target);
  if (row.state !== 'ACTIVE') return { why: 'the source does not hold the slot' };
  if (target === 'none' || row.epoch + 1n === view.targetSide?.epoch) return 'owner';
  if (row.move === null && row.epoch - 1n === view.targetSide?.epoch) return 'returned';
  return { why: 'the epochs of source and target do not follow each other' };
}

function openedPart(view: MoveView, row: SlotSide, target: TargetPart): SourcePart | Unexplained {
  if (row.state !== 'MOVING' && row.state !== 'MOVED') return { why: 'this move takes the slot from the source, whose row holds it by the same move' };
  if (target !== 'none' && row.epoch + 1n !== view.targetSide?.epoch) return { why: 'the epochs of source and target do not follow each other' };
  if (row.state === 'MOVING') return 'moving';
  return row.movedTo === view.target ? 'moved' : { why: `the source gave the slot to ${row.movedTo ?? 'nobody'}` };
}

function stuck({ source, target, sourceSide, targetSide }: MoveView, why: string): MoveStep {
  return { kind: 'stuck', reason: `${why}: ${source} ${textOf(sourceSide)}, ${target} ${textOf(targetSide)}` };
}

function textOf(row: SlotSide | undefined): string {
  if (!row) return 'has no row';
  const to = row.movedTo === null ? '' : ` to ${row.movedTo}`;
  return `is ${row.state}${to} at epoch ${row.epoch} by ${row.move === null ? 'no move' : `move ${row.move}`}`;
}
