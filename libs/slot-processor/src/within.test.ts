import { describe, expect, test } from '@jest/globals';
import { DrainStepLeft, onDrainWithin, within } from './within.ts';

const never = new Promise<never>(() => undefined);

describe('waiting within a time', () => {
  test('tells whether the work was done', async () => {
    expect(await within(60_000, Promise.resolve('done'))).toBe(true);
    expect(await within(1, never)).toBe(false);
  });

  test('throws what the work throws in time, and swallows what it throws later', async () => {
    await expect(within(60_000, Promise.reject(new Error('in time')))).rejects.toThrow('in time');
    const late = Promise.withResolvers<void>();
    expect(await within(1, late.promise)).toBe(false);
    late.reject(new Error('late'));
    await Promise.resolve();
  });

  test('a step of a drain that does not end is left, and said so', async () => {
    const steps: (() => Promise<void> | void)[] = [];
    const life = { onDrain: (_: string, close: () => Promise<void> | void) => void steps.push(close) };
    onDrainWithin(life, 'pool', 1, () => never);
    onDrainWithin(life, 'port', 60_000, () => undefined);
    await expect(steps[0]?.()).rejects.toBeInstanceOf(DrainStepLeft);
    await steps[1]?.();
  });
});
