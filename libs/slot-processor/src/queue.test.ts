import { describe, expect, test } from '@jest/globals';
import type { Offset, Slot } from '@millrace/write';
import { TURN_RECORDS_MAX } from './limits.ts';
import { createSliceQueue } from './queue.ts';
import { countRecords, sliceOf } from './slices.ts';

const slot = 0 as Slot;

function sliceTo(to: number) {
  const records = Array.from({ length: to }, (_, at) => ({ slot, offset: BigInt(at) as Offset, key: 'demo/a', value: null, atMs: 0 }));
  return sliceOf({ slot, from: 0n as Offset, to: BigInt(to) as Offset }, records);
}

function turnsOf(queue: ReturnType<typeof createSliceQueue>): readonly number[] {
  const turns: number[] = [];
  for (let taken = queue.take(); taken.length > 0; taken = queue.take()) turns.push(countRecords(taken));
  return turns;
}

describe('a turn takes', () => {
  test('no more records than its stream allows', () => {
    const queue = createSliceQueue(500);
    queue.add(sliceTo(1_200));
    expect(turnsOf(queue)).toEqual([500, 500, 200]);
  });

  test('no more than any may, where its stream says nothing; and no stream may ask for more', () => {
    const queue = createSliceQueue();
    queue.add(sliceTo(TURN_RECORDS_MAX + 1));
    expect(turnsOf(queue)).toEqual([TURN_RECORDS_MAX, 1]);
    expect(() => createSliceQueue(TURN_RECORDS_MAX + 1)).toThrow('a turn takes records');
  });
});
