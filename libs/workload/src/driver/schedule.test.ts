import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createGenerator } from '../generator/generator.ts';
import { type Work, keyOf } from '../write.ts';
import { type Node, createSchedule } from './schedule.ts';

const deposit = (account: string, idempotencyKey: string, after: string[] = []): Work => ({
  kind: 'write',
  body: { type: 'account.deposit', data: { account, amount: '1', currency: 'GBP' } },
  idempotencyKey,
  after,
});
const names = (nodes: readonly Node[]): string[] => nodes.map(({ work }) => work.idempotencyKey);

describe('the schedule', () => {
  test('gives one write of a key at a time, in order (D1)', () => {
    const schedule = createSchedule({ takesRuns: true });
    for (const name of ['a1', 'a2', 'b1', 'a3']) schedule.add(deposit(name.charAt(0), name));
    const first = schedule.take({ max: 10, sameKeyMax: 1 });
    expect(names(first)).toEqual(['a1', 'b1']);
    schedule.settle(first[0]!);
    expect(names(schedule.take({ max: 10, sameKeyMax: 1 }))).toEqual(['a2']);
    expect(schedule.size()).toBe(3);
  });

  test('gives a run of a key to one body where it is allowed', () => {
    const schedule = createSchedule({ takesRuns: true });
    for (const name of ['a1', 'a2', 'b1', 'a3', 'a4']) schedule.add(deposit(name.charAt(0), name));
    const batch = schedule.take({ max: 10, sameKeyMax: 3 });
    expect(names(batch)).toEqual(['a1', 'a2', 'a3', 'b1']);
    expect(schedule.ready()).toBe(0);
    batch.forEach((node) => schedule.settle(node));
    expect(names(schedule.take({ max: 10, sameKeyMax: 3 }))).toEqual(['a4']);
  });

  test('keeps hot keys for those who take runs, and gives them first', () => {
    const schedule = createSchedule({ takesRuns: true });
    for (const name of ['a1', 'a2', 'a3', 'a4', 'a5', 'a6', 'b1']) schedule.add(deposit(name.charAt(0), name));
    const [a1] = schedule.take({ max: 1, sameKeyMax: 1 });
    schedule.settle(a1!);
    expect([schedule.ready(), schedule.runs()]).toEqual([1, 1]);
    expect(names(schedule.take({ max: 1, sameKeyMax: 1 }))).toEqual(['b1']);
    expect(names(schedule.take({ max: 9, sameKeyMax: 3 }))).toEqual(['a2', 'a3', 'a4']);
  });

  test('completes a long run whose first write is answered last', () => {
    const schedule = createSchedule({ takesRuns: true });
    for (let n = 0; n < 5_000; n++) schedule.add(deposit('a', `a${n}`));
    const [first, ...rest] = schedule.take({ max: 5_000, sameKeyMax: 5_000 });
    rest.forEach((node) => schedule.settle(node));
    expect(schedule.size()).toBe(5_000);
    schedule.settle(first!);
    expect(schedule.size()).toBe(0);
  });

  test('holds a write back until the keys that it comes after are settled (D2)', () => {
    const schedule = createSchedule({ takesRuns: true });
    schedule.add(deposit('stock', 's1'));
    schedule.add(deposit('order', 'o1', ['stock', 'unknown']));
    schedule.add(deposit('order', 'o2'));
    const [stock] = schedule.take({ max: 10, sameKeyMax: 10 });
    expect(schedule.ready()).toBe(0);
    schedule.settle(stock!);
    expect(names(schedule.take({ max: 10, sameKeyMax: 10 }))).toEqual(['o1', 'o2']);
  });

  test('waits for an earlier write of a body that is sent again, though a later one is answered (D2)', () => {
    const schedule = createSchedule({ takesRuns: true });
    schedule.add(deposit('a', 'a1'));
    schedule.add(deposit('a', 'a2'));
    schedule.add(deposit('order', 'o1', ['a']));
    const [a1, a2] = schedule.take({ max: 10, sameKeyMax: 10 });
    schedule.settle(a2!);
    expect(schedule.ready()).toBe(0);
    schedule.settle(a1!);
    expect(names(schedule.take({ max: 10, sameKeyMax: 10 }))).toEqual(['o1']);
  });

  test('gives a write that waits for the end of an order to nobody before it is opened, not even in a run (D3)', () => {
    const schedule = createSchedule({ takesRuns: true });
    schedule.add(deposit('a', 'a1'));
    schedule.add({ ...deposit('a', 'a2'), onceEnded: { order: 'a', as: ['confirmed'] } });
    schedule.add(deposit('a', 'a3'));
    const [first, ...others] = schedule.take({ max: 10, sameKeyMax: 10 });
    expect(others).toEqual([]);
    expect(schedule.takeGated()).toBeUndefined();
    schedule.settle(first!);
    expect(schedule.take({ max: 10, sameKeyMax: 10 })).toEqual([]);
    const gated = schedule.takeGated()!;
    expect(schedule.takeGated()).toBeUndefined();
    schedule.putBack(gated);
    schedule.open(schedule.takeGated()!);
    expect(() => schedule.open(gated)).toThrow('D3');
    expect(names(schedule.take({ max: 10, sameKeyMax: 10 }))).toEqual(['a2', 'a3']);
  });

  test('gives everything once, and never before what it waits for, whatever the order of the answers', () => {
    fc.assert(
      fc.property(fc.string(), fc.integer({ min: 1, max: 8 }), fc.infiniteStream(fc.nat()), (seed, sameKeyMax, answers) => {
        const works = [...createGenerator({ seed, run: 'x', writes: 120, accounts: 5, skus: 5 })];
        const schedule = createSchedule({ takesRuns: sameKeyMax > 1 });
        const settled = new Set<Work>();
        works.forEach((work) => schedule.add(work));
        const out: Node[] = [];
        const draw = (limit: number): number => (answers.next().value ?? 0) % limit;
        while (schedule.size() > 0) {
          const batch = schedule.take({ max: 1 + draw(20), sameKeyMax });
          for (const { work, key } of batch) {
            const before = works.slice(0, works.indexOf(work)).filter((each) => !settled.has(each));
            expect(before.filter(({ body }) => work.after?.includes(keyOf(body)))).toEqual([]);
            const ofKey = before.filter(({ body }) => keyOf(body) === key);
            expect(ofKey.every((each) => batch.some((node) => node.work === each))).toBe(true);
          }
          out.push(...batch);
          const gated = schedule.takeGated();
          if (gated) {
            expect(works.slice(0, works.indexOf(gated.work)).filter((each) => keyOf(each.body) === gated.key && !settled.has(each))).toEqual([]);
            if (draw(2) === 0) schedule.open(gated);
            else schedule.putBack(gated);
          }
          const [done] = out.splice(draw(out.length || 1), 1);
          if (!done) continue;
          settled.add(done.work);
          schedule.settle(done);
        }
        expect(settled.size).toBe(works.length);
      }),
      { numRuns: 30 },
    );
  });
});
