import { expect, test } from '@jest/globals';
import { shared } from './shared.ts';

test('calls while one is about to start share it, and those while it is under way share the next, one at a time', async () => {
  const answers: ((answer: number) => void)[] = [];
  const ask = shared(() => new Promise<number>((resolve) => answers.push(resolve)));
  const first = Promise.all([ask(), ask()]);
  await Promise.resolve();
  const second = Promise.all([ask(), ask()]);
  expect(answers).toHaveLength(1);
  answers[0]?.(1);
  await expect(first).resolves.toEqual([1, 1]);
  expect(answers).toHaveLength(2);
  answers[1]?.(2);
  await expect(second).resolves.toEqual([2, 2]);
});

test('a failure is told to those who share it, and the next call asks again', async () => {
  let runs = 0;
  const ask = shared(async () => {
    runs += 1;
    if (runs === 1) throw new Error('no answer');
    return runs;
  });
  const calls = await Promise.allSettled([ask(), ask()]);
  expect(calls.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await expect(ask()).resolves.toBe(2);
});
