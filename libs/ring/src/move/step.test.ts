import { describe, expect, test } from '@jest/globals';
import type { ShardId } from '@millrace/write';
import { nextStep, type MoveStep, type MoveView, type SlotSide, type SlotState } from './step.ts';

const A = 'a' as ShardId;
const B = 'b' as ShardId;
const C = 'c' as ShardId;
const MOVE = 7n;

const row = (state: SlotState, epoch: bigint, move: bigint | null, movedTo: ShardId | null = null): SlotSide => ({ state, epoch, move, movedTo });

/** The source of a move owns the slot at epoch 4, so its target comes at epoch 5. */
const OWNER = row('ACTIVE', 4n, null);
const OWNER_BY_EARLIER_MOVE = row('ACTIVE', 4n, 6n);
const MOVING = row('MOVING', 4n, MOVE);
const MOVED = row('MOVED', 4n, MOVE, B);
const RETURNED = row('ACTIVE', 6n, null);

const PLACEHOLDER = row('ABORTED', 0n, null);
const MOVED_EARLIER = row('MOVED', 3n, 6n, A);
const ABORTED_EARLIER = row('ABORTED', 3n, 5n);
/** An earlier move was rejected before it opened the source, whose epoch stayed. */
const ABORTED_UNOPENED = row('ABORTED', 5n, 6n);
const INCOMING = row('INCOMING', 5n, MOVE);
const TAKEN = row('ACTIVE', 5n, MOVE);
const REJECTED = row('ABORTED', 5n, MOVE);

function view(sourceSide: SlotSide | undefined, targetSide: SlotSide | undefined, rest: Partial<MoveView> = {}): MoveView {
  return { move: MOVE, goal: 'forward', source: A, target: B, sourceSide, targetSide, published: false, leftovers: undefined, ...rest };
}

const abort = { goal: 'abort' } as const;
const published = { published: true } as const;

describe('the next step of a move', () => {
  test.each<[string, MoveView, MoveStep['kind']]>([
    // forward
    ['a target that never had the slot is prepared', view(OWNER, undefined), 'prepare'],
    ['so is one that has only been claimed', view(OWNER, PLACEHOLDER), 'prepare'],
    ['so is one that had the slot and gave it away', view(OWNER, MOVED_EARLIER), 'prepare'],
    ['so is one that rejected an earlier move', view(OWNER, ABORTED_EARLIER), 'prepare'],
    ['so is one that rejected an earlier move which never opened the source', view(OWNER, ABORTED_UNOPENED), 'prepare'],
    ['a source that got the slot by an earlier move is as good as a first owner', view(OWNER_BY_EARLIER_MOVE, MOVED_EARLIER), 'prepare'],
    ['a prepared target lets the source open', view(OWNER, INCOMING), 'open'],
    ['the same with a source that got the slot by an earlier move', view(OWNER_BY_EARLIER_MOVE, INCOMING), 'open'],
    ['an open source is copied', view(MOVING, INCOMING), 'copy'],
    ['a fenced source lets the target take the slot', view(MOVED, INCOMING), 'finish'],
    ['a target that took the slot is published', view(MOVED, TAKEN), 'publish'],
    ['what is published is purged from the source', view(MOVED, TAKEN, published), 'purge'],
    ['and purged again while rows are left', view(MOVED, TAKEN, { ...published, leftovers: true }), 'purge'],
    ['a source without rows of the slot ends the move', view(MOVED, TAKEN, { ...published, leftovers: false }), 'done'],
    ['nothing is purged before it is published', view(MOVED, TAKEN, { leftovers: false }), 'publish'],

    // abort
    ['a target that never had the slot has nothing to reject', view(OWNER, undefined, abort), 'aborted'],
    ['nor has one that was only claimed', view(OWNER, PLACEHOLDER, abort), 'aborted'],
    ['nor one with a row of an earlier move', view(OWNER_BY_EARLIER_MOVE, MOVED_EARLIER, abort), 'aborted'],
    ['nor one that rejected an earlier move', view(OWNER, ABORTED_UNOPENED, abort), 'aborted'],
    ['a prepared target rejects', view(OWNER, INCOMING, abort), 'reject'],
    ['a target rejects before the open source returns', view(MOVING, INCOMING, abort), 'reject'],
    ['a target rejects before the fenced source returns', view(MOVED, INCOMING, abort), 'reject'],
    ['a target that lost its disk rejects, so that the open source can return', view(MOVING, PLACEHOLDER, abort), 'reject'],
    ['so that the fenced source can return', view(MOVED, PLACEHOLDER, abort), 'reject'],
    ['also where not even a claim is left', view(MOVED, undefined, abort), 'reject'],
    ['and one that was set back to before it was prepared', view(MOVING, MOVED_EARLIER, abort), 'reject'],
    ['behind the rejection the open source returns', view(MOVING, REJECTED, abort), 'reactivate'],
    ['behind the rejection the fenced source returns', view(MOVED, REJECTED, abort), 'reactivate'],
    ['behind the return the copied rows go', view(RETURNED, REJECTED, abort), 'clear'],
    ['and go again while rows are left', view(RETURNED, REJECTED, { ...abort, leftovers: true }), 'clear'],
    ['without rows left the abort is complete', view(RETURNED, REJECTED, { ...abort, leftovers: false }), 'aborted'],
    ['a source that was never opened need not return', view(OWNER, REJECTED, abort), 'clear'],
    ['nor one that got the slot by an earlier move', view(OWNER_BY_EARLIER_MOVE, REJECTED, { ...abort, leftovers: false }), 'aborted'],

    // too late
    ['an abort after the activation goes forward: publish', view(MOVED, TAKEN, abort), 'publish'],
    ['an abort after the activation goes forward: purge', view(MOVED, TAKEN, { ...abort, ...published }), 'purge'],
    ['an abort after the activation goes forward: done', view(MOVED, TAKEN, { ...abort, ...published, leftovers: false }), 'done'],
    ['a rejected move does not go forward: reactivate', view(MOVED, REJECTED), 'reactivate'],
    ['a rejected move does not go forward: clear', view(RETURNED, REJECTED), 'clear'],
    ['a rejected move does not go forward: aborted', view(RETURNED, REJECTED, { leftovers: false }), 'aborted'],
  ])('%s', (_, given, kind) => {
    expect(nextStep(given)).toEqual({ kind });
  });
});

describe('rows that no step leaves are stuck, whatever the goal', () => {
  test.each<[string, MoveView, string]>([
    ['no row on the source', view(undefined, undefined), 'the source has no row of the slot'],
    ['the source gave the slot away by an earlier move', view(row('MOVED', 3n, 6n, B), undefined), 'the source does not hold the slot'],
    ['the source moves the slot by an earlier move', view(row('MOVING', 4n, 6n), undefined), 'the source does not hold the slot'],
    ['the source is a target', view(row('INCOMING', 4n, 6n), undefined), 'the source does not hold the slot'],
    ['the source rejected the slot', view(row('ABORTED', 4n, 6n), undefined), 'the source does not hold the slot'],
    ['the source is the target of this move', view(row('INCOMING', 4n, MOVE), INCOMING), 'this move takes the slot from the source'],
    ['the source holds the slot by this move', view(row('ACTIVE', 4n, MOVE), INCOMING), 'this move takes the slot from the source'],
    ['the source has a later move', view(row('MOVING', 4n, 8n), INCOMING), 'the source has a later move'],
    ['the source gave the slot to another shard by this move', view(row('MOVED', 4n, MOVE, C), INCOMING), 'the source gave the slot to c'],
    ['the target has a later move', view(OWNER, row('INCOMING', 5n, 8n)), 'the target has a later move'],
    ['the target holds the slot by an earlier move', view(OWNER, row('ACTIVE', 3n, 6n)), 'an earlier move has not ended on the target'],
    ['the target is still to get the slot by an earlier move', view(OWNER, row('INCOMING', 5n, 6n)), 'an earlier move has not ended on the target'],
    ['the target still gives the slot away by an earlier move', view(OWNER, row('MOVING', 3n, 6n)), 'an earlier move has not ended on the target'],
    ['the target is open for this move', view(MOVING, row('MOVING', 5n, MOVE)), 'whose row gives it away by the same move'],
    ['the target gave the slot away by this move', view(MOVED, row('MOVED', 5n, MOVE, A)), 'whose row gives it away by the same move'],
    ["the target's row is newer than the source", view(OWNER, row('ABORTED', 6n, 6n)), "the target's epoch is ahead of the source's"],
    ['published, and the target has lost its disk', view(MOVED, undefined, published), 'the topology names the target'],
    ['the source returned, the target is not rejected', view(RETURNED, INCOMING), 'the source is active again'],
    ['both are active', view(OWNER, TAKEN), 'the source has not given the slot up'],
    ['both apply', view(MOVING, TAKEN), 'the source has not given the slot up'],
    ['the source returned although the target took the slot', view(RETURNED, TAKEN), 'the source has not given the slot up'],
    ['a prepared target two epochs ahead', view(OWNER, row('INCOMING', 6n, MOVE)), 'do not follow each other'],
    ['a prepared target at the epoch of the source', view(MOVING, row('INCOMING', 4n, MOVE)), 'do not follow each other'],
    ['a source that returned with too high an epoch', view(row('ACTIVE', 7n, null), REJECTED), 'do not follow each other'],
    ['a return that still names a move', view(row('ACTIVE', 6n, 6n), REJECTED), 'do not follow each other'],
    ['published before there is a target', view(OWNER, undefined, published), 'the topology names the target'],
    ['published before the activation', view(MOVED, INCOMING, published), 'the topology names the target'],
    ['published although rejected', view(MOVED, REJECTED, published), 'the topology names the target'],
  ])('%s', (_, given, reason) => {
    for (const goal of ['forward', 'abort'] as const) {
      const step = nextStep({ ...given, goal });
      expect(step).toEqual({ kind: 'stuck', reason: expect.stringContaining(reason) });
    }
  });

  test.each<[string, MoveView]>([
    ['the source is open, the target was never prepared', view(MOVING, MOVED_EARLIER)],
    ['the source is fenced, the target has no row', view(MOVED, undefined)],
    ['the source is fenced, the target has only been claimed', view(MOVED, PLACEHOLDER)],
  ])('but an abort mends it where the target has lost its disk: %s', (_, given) => {
    expect(nextStep(given)).toEqual({ kind: 'stuck', reason: expect.stringContaining('abort the move') });
    expect(nextStep({ ...given, goal: 'abort' })).toEqual({ kind: 'reject' });
  });

  test('the reason names both rows', () => {
    expect(nextStep(view(row('MOVED', 4n, MOVE, C), undefined))).toEqual({
      kind: 'stuck',
      reason: 'the source gave the slot to c: a is MOVED to c at epoch 4 by move 7, b has no row',
    });
  });
});

test('every combination of rows has a step or a reason, and only explained ones have a step', () => {
  const states = ['INCOMING', 'ACTIVE', 'MOVING', 'MOVED', 'ABORTED'] as const;
  const sides = [undefined, ...states.flatMap((state) => [3n, 4n, 5n, 6n].flatMap((epoch) => [null, 6n, MOVE, 8n].map((move) => row(state, epoch, move, state === 'MOVED' ? B : null))))];
  const steps = new Map<string, number>();
  for (const source of sides) {
    for (const target of sides) {
      for (const goal of ['forward', 'abort'] as const) {
        const step = nextStep(view(source, target, { goal }));
        if (step.kind === 'stuck') expect(step.reason).toMatch(/./);
        else expectSafe(step.kind, source, target);
        steps.set(step.kind, (steps.get(step.kind) ?? 0) + 1);
      }
    }
  }
  expect([...steps.keys()].sort()).toEqual(['aborted', 'clear', 'copy', 'finish', 'open', 'prepare', 'publish', 'reactivate', 'reject', 'stuck']);
});

/** What makes a step dangerous must not be so: two shards that apply, or rows purged that somebody needs. */
function expectSafe(kind: MoveStep['kind'], source: SlotSide | undefined, target: SlotSide | undefined): void {
  const applies = (side: SlotSide | undefined): boolean => side?.state === 'ACTIVE' || side?.state === 'MOVING';
  expect(applies(source) && applies(target)).toBe(false);
  if (kind === 'finish') expect([source?.state, target?.state]).toEqual(['MOVED', 'INCOMING']);
  if (kind === 'reactivate') expect(target?.state).toBe('ABORTED');
  if (kind === 'publish' || kind === 'purge') expect([source?.state, target?.state]).toEqual(['MOVED', 'ACTIVE']);
  if (kind === 'clear') expect([source?.state, target?.state]).toEqual(['ACTIVE', 'ABORTED']);
}
