import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { createTopology, type Topology } from '@millrace/ring';
import { createLog } from '@millrace/runtime';
import type { Epoch, ShardId } from '@millrace/write';
import { createTopologyFollower } from './follow.ts';

const log = createLog({ name: 'test', level: 'silent' });
const epochOf = (epoch: number, slots = 2): Topology => createTopology({ epoch: epoch as Epoch, owners: Array.from({ length: slots }, () => `s${epoch}` as ShardId) });

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** A follower of a control database that the test sets, which takes `answerMs` to answer. */
async function follow(answerMs = 0) {
  const control = { epoch: 1, down: false, asked: 0 };
  let announce: (topology: Topology) => void = () => undefined;
  const following = createTopologyFollower({
    control: {
      async query<R>() {
        control.asked += 1;
        const { epoch, down } = control;
        if (answerMs > 0) await new Promise((resolve) => setTimeout(resolve, answerMs));
        if (down) throw new Error('connection refused');
        return [{ epoch: BigInt(epoch), owners: epochOf(epoch).owners }] as R[];
      },
    },
    log,
    signal: new AbortController().signal,
    announcements: (onTopology) => (announce = onTopology),
  });
  await jest.advanceTimersByTimeAsync(answerMs);
  const follower = await following;
  await jest.advanceTimersByTimeAsync(2 * answerMs + 20);
  const seen: number[] = [];
  follower.onChange(({ epoch }) => seen.push(epoch));
  return { control, follower, seen, announce: (topology: Topology) => announce(topology) };
}

describe('a follower', () => {
  test('takes a new epoch as soon as it is announced, from the control database', async () => {
    const { control, follower, seen, announce } = await follow();
    control.epoch = 3;
    announce(epochOf(2));
    await jest.advanceTimersByTimeAsync(50);
    expect(seen).toEqual([3]);
    expect(follower.current()).toEqual(epochOf(3));
    follower.stop();
  });

  test('takes no announcement of an old epoch, of a repeated one, or of another number of slots', async () => {
    const { control, follower, seen, announce } = await follow();
    const { asked } = control;
    for (const topology of [epochOf(1), epochOf(1), epochOf(9, 3)]) announce(topology);
    await jest.advanceTimersByTimeAsync(50);
    expect([control.asked, seen]).toEqual([asked, []]);
    follower.stop();
  });

  test('believes announcements while the control database does not answer, in the order of their epochs', async () => {
    const { control, follower, seen, announce } = await follow();
    control.down = true;
    for (const epoch of [2, 4, 3]) {
      announce(epochOf(epoch));
      await jest.advanceTimersByTimeAsync(50);
    }
    expect(seen).toEqual([2, 4]);
    await expect(Promise.all([follower.refresh(), jest.advanceTimersByTimeAsync(50)]).then(([topology]) => topology.epoch)).resolves.toBe(4);
    follower.stop();
  });

  test('R4 gives up an announced epoch that the control database does not know when it is back', async () => {
    const { control, follower, seen, announce } = await follow();
    control.down = true;
    announce(epochOf(900));
    await jest.advanceTimersByTimeAsync(50);
    control.down = false;
    control.epoch = 2;
    await jest.advanceTimersByTimeAsync(2_100);
    expect(seen).toEqual([900, 2]);
    control.down = true;
    await jest.advanceTimersByTimeAsync(4_000);
    expect(follower.current().epoch).toBe(2);
    follower.stop();
  });

  test('tells an outage of the control database once, and the next one again', async () => {
    const warn = jest.spyOn(log, 'warn');
    const { control, follower } = await follow();
    for (const down of [true, false, true]) {
      control.down = down;
      await jest.advanceTimersByTimeAsync(10_000);
    }
    expect(warn).toHaveBeenCalledTimes(2);
    warn.mockRestore();
    follower.stop();
  });

  test('a listener that throws is no outage of the control database', async () => {
    const { control, follower } = await follow();
    follower.onChange(() => {
      throw new Error('a bug');
    });
    control.epoch = 2;
    await expect(Promise.all([follower.refresh(), jest.advanceTimersByTimeAsync(50)])).rejects.toThrow('a bug');
    follower.stop();
  });

  test('never goes back to an older epoch of the control database', async () => {
    const { control, follower, seen } = await follow();
    control.epoch = 5;
    await jest.advanceTimersByTimeAsync(2_100);
    control.epoch = 4;
    await jest.advanceTimersByTimeAsync(2_100);
    expect(seen).toEqual([5]);
    follower.stop();
  });

  test('asks one question for many calls, and no more than one at a time', async () => {
    const { control, follower } = await follow(100);
    const { asked } = control;
    control.epoch = 2;
    const calls = Array.from({ length: 50 }, () => follower.refresh());
    await jest.advanceTimersByTimeAsync(50);
    control.epoch = 3;
    const later = Array.from({ length: 50 }, () => follower.refresh());
    await jest.advanceTimersByTimeAsync(400);
    expect((await Promise.all(calls)).map(({ epoch }) => epoch as number)).toEqual(calls.map(() => 2));
    expect((await Promise.all(later)).map(({ epoch }) => epoch as number)).toEqual(later.map(() => 3));
    expect(control.asked).toBe(asked + 2);
    follower.stop();
  });

  test('spaces its questions, however often it is asked', async () => {
    const { control, follower } = await follow();
    const { asked } = control;
    for (let i = 0; i < 1_000; i++) {
      void follower.refresh();
      await jest.advanceTimersByTimeAsync(1);
    }
    expect(control.asked - asked).toBeLessThanOrEqual(60);
    follower.stop();
  });
});
