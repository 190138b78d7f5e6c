import { afterAll, beforeEach, expect, test } from '@jest/globals';
import type { Database, Sql } from '@millrace/postgres';
import { createLog, sleep } from '@millrace/runtime';
import type { ShardId, Slot } from '@millrace/write';
import { createDeadlines } from '../http/deadlines.ts';
import { limits } from '../limits.ts';
import type { Progress } from './positions.sql.ts';
import { createWatch, type Wanted, type Watch, type WatchResult } from './watch.ts';

const A = 'a' as ShardId;
const [ONE, TWO] = [1, 2] as Slot[] as [Slot, Slot];
const log = createLog({ name: 'test', level: 'silent' });
const deadlines = createDeadlines(10);
afterAll(() => deadlines.stop());

interface Question {
  readonly slots: readonly number[];
  readonly from: readonly (string | null)[];
  answer(rows: readonly Partial<Progress>[]): void;
}

/** The questions to the shard, each answered by the test; one that comes while another is open breaks the rule. */
let questions: Question[];
let watch: Watch;

beforeEach(() => {
  questions = [];
  const query = ({ values }: Sql): Promise<unknown> =>
    new Promise((resolve) => {
      const [slots, from] = values as [number[], (string | null)[]];
      const answer: Question['answer'] = (rows) => resolve(rows.map((row) => ({ slot_state: 'ACTIVE', moved_to: null, next_offset: 0n, looked_to: null, told: null, ended: null, ...row })));
      questions.push({ slots, from, answer });
    });
  watch = createWatch({ database: () => ({ name: A, query }) as unknown as Database, deadlines, limits, log });
});

const wait = (slot: Slot, wanted: Wanted): Promise<WatchResult> => watch.until(A, slot, wanted, performance.now() + 20_000);
const saga = (key: string, from: bigint, ended = true): Wanted => ({ is: 'saga', key, from, ended });

async function question(nth: number): Promise<Question> {
  while (questions.length < nth) await sleep(1);
  return questions[nth - 1]!;
}

test('hundreds who wait for sagas of a shard ask one question at a time, from where the least of them has seen', async () => {
  const first = wait(ONE, saga('k-0', 50n));
  const { answer } = await question(1);
  const others = Array.from({ length: 300 }, (_, n) => wait(n % 2 === 0 ? ONE : TWO, saga(`k-${n}`, BigInt(40 + n))));
  others.push(wait(TWO, { is: 'position', offset: 7n }));
  await sleep(20);
  expect(questions).toHaveLength(1);
  answer([{ slot: ONE, looked_to: 60n }]);
  const asked = await question(2);
  expect([asked.slots, asked.from]).toEqual([[ONE, TWO], ['40', '41']]);
  const ended = Array.from({ length: 300 }, (_, n) => `k-${n}`);
  asked.answer([{ slot: ONE, looked_to: 400n, told: ended, ended }, { slot: TWO, looked_to: 400n, told: ended, ended, next_offset: 8n }]);
  expect(new Set((await Promise.all([first, ...others])).map(({ is }) => is))).toEqual(new Set(['reached']));
  expect([questions.length, watch.waiters()]).toEqual([2, 0]);
});

test('what was looked through for who waits is not looked through again', async () => {
  const waiting = wait(ONE, saga('k', 10n));
  (await question(1)).answer([{ slot: ONE, looked_to: 2_010n, told: ['other'], ended: ['other'] }]);
  (await question(2)).answer([{ slot: ONE, looked_to: 2_020n, told: ['k'], ended: null }]);
  (await question(3)).answer([{ slot: ONE, looked_to: 2_021n, told: ['k'], ended: ['k'] }]);
  expect(await waiting).toEqual({ is: 'reached' });
  expect(questions.map(({ from }) => from)).toEqual([['10'], ['2010'], ['2020']]);
});

test('who waits for an answer is told of any word, who waits for the end of that alone', async () => {
  const [answer, end] = [wait(ONE, saga('k', 0n, false)), wait(ONE, saga('k', 0n, true))];
  (await question(1)).answer([{ slot: ONE, looked_to: 5n, told: ['k'] }]);
  expect(await answer).toEqual({ is: 'reached' });
  expect(watch.waiters()).toBe(1);
  (await question(2)).answer([{ slot: ONE, looked_to: 6n, told: ['k'], ended: ['k'] }]);
  expect(await end).toEqual({ is: 'reached' });
});

test('word of a slot that the shard does not hold is nobody’s: who waits goes where it went, or waits while it is on its way', async () => {
  const waiting = wait(ONE, saga('k', 0n));
  (await question(1)).answer([{ slot: ONE, slot_state: 'INCOMING', looked_to: 5n, told: ['k'], ended: ['k'] }]);
  const later = await question(2);
  expect(later.from).toEqual(['0']);
  later.answer([{ slot: ONE, slot_state: 'MOVED', moved_to: 'b' as ShardId, told: ['k'], ended: ['k'] }]);
  expect(await waiting).toMatchObject({ is: 'elsewhere', row: { moved_to: 'b' } });
});
