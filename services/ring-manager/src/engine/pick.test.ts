import { expect, test } from '@jest/globals';
import type { ShardId, Slot } from '@millrace/write';
import type { MoveRecord } from '../control/moves.sql.ts';
import { pickMoves, wishOf, type PickInput } from './pick.ts';

/** `3 running a>b paused`: id, state, pair. */
function moves(...lines: readonly string[]): readonly MoveRecord[] {
  return lines.map((line) => {
    const [id, state, pair, paused] = line.split(' ');
    const [source, target] = pair!.split('>') as ShardId[];
    return {
      id: BigInt(id!), plan: null, slot: Number(id) as Slot, source: source!, target: target!, state: state as MoveRecord['state'], paused: paused === 'paused',
      phase: 'planned', progress: {}, error: null, createdAt: new Date(0), startedAt: null, endedAt: null,
    };
  });
}

function pick(open: readonly MoveRecord[], over: Partial<PickInput> = {}): readonly number[] {
  const input = { driven: new Set<bigint>(), resting: new Set<bigint>(), waiting: new Set<bigint>(), movesPerPair: 2, movesMax: 8, ...over };
  return pickMoves({ open, ...input }).map(({ id }) => Number(id));
}

test('what is to be undone comes first, then what has begun, then the oldest that has not', () => {
  expect(pick(moves('1 planned a>b', '2 planned a>c', '3 running a>d', '4 aborting a>e'))).toEqual([4, 3, 1, 2]);
});

test('of one pair only so many are on their way, those that are driven counted', () => {
  const open = moves('1 running a>b', '2 planned a>b', '3 planned a>b', '4 planned b>a');
  expect(pick(open)).toEqual([1, 2, 4]);
  expect(pick(open, { driven: new Set([1n]) })).toEqual([2, 4]);
  expect(pick(open, { driven: new Set([1n, 2n]) })).toEqual([4]);
});

test('in all only so many are on their way', () => {
  const open = moves('1 running a>b', '2 planned a>c', '3 planned a>d');
  expect(pick(open, { movesMax: 2 })).toEqual([1, 2]);
  expect(pick(open, { movesMax: 2, driven: new Set([1n]) })).toEqual([2]);
});

test('what is paused does not begin; what has begun is looked at once by each leader, for it may stand past its fence', () => {
  const open = moves('1 planned a>b paused', '2 running a>c paused', '3 aborting a>d paused');
  expect(pick(open)).toEqual([3, 2]);
  expect(pick(open, { resting: new Set([2n]) })).toEqual([3]);
});

test('what waits after a failure leaves its room to others', () => {
  expect(pick(moves('1 running a>b', '2 planned a>b', '3 planned a>b'), { waiting: new Set([1n]) })).toEqual([2, 3]);
});

test('an abort is wished for also of what is paused', () => {
  expect(moves('1 aborting a>b paused', '2 running a>b paused', '3 running a>b').map(wishOf)).toEqual(['abort', 'pause', 'forward']);
});
