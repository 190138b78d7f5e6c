import { expect, test } from '@jest/globals';

import type { Plan } from './admin-schema.ts';
import { ApiProblem, ApiSilent } from '../api/api-error.ts';
import { followPlan, type FollowInput } from './follow.ts';
import { planOf } from './testing/facts.ts';

/** Answers one after the other; an error is thrown. */
function asked(answers: readonly (Plan | Error)[], input: Partial<FollowInput> = {}): { readonly ended: Promise<Plan | undefined>; readonly lines: string[] } {
  const left = [...answers];
  const lines: string[] = [];
  const plan = async (): Promise<Plan> => {
    const answer = left.length > 1 ? left.shift() : left[0];
    if (answer instanceof Error || answer === undefined) throw answer ?? new Error('no answer is left');
    return answer;
  };
  const output = { live: (line: string) => void lines.push(line), settle: () => undefined };
  const followed = followPlan({ admin: { plan, moves: async () => [] }, output, signal: new AbortController().signal, bar: false, ...input }, '3');
  return { ended: followed.then((result) => result?.plan), lines };
}

const silent = new ApiSilent('The ring-manager', { cause: new Error('connect ECONNREFUSED') });

test('waits until the plan is over', async () => {
  const { ended, lines } = asked([planOf(), planOf({ state: 'done' })]);
  expect((await ended)?.state).toBe('done');
  expect(lines).toHaveLength(2);
});

test('a ring-manager that does not answer for a while, or cannot now, is waited for', async () => {
  const { ended, lines } = asked([silent, new ApiProblem(503, { title: 'The control database does not answer' }), planOf({ state: 'aborted' })]);
  expect((await ended)?.state).toBe('aborted');
  expect(lines[0]).toMatch(/no answer from the ring-manager.*the moves go on when one leads again/);
});

test('a silence that lasts ends the wait, and so does a refusal', async () => {
  let nowMs = 0;
  await expect(asked([silent], { nowMs: () => (nowMs += 100_000) }).ended).rejects.toBe(silent);
  await expect(asked([new ApiProblem(404, { title: 'There is no such plan' })]).ended).rejects.toThrow('There is no such plan');
});

test('whoever waits may leave', async () => {
  const leave = new AbortController();
  const { ended } = asked([planOf()], { signal: leave.signal });
  leave.abort();
  expect(await ended).toBeUndefined();
});
