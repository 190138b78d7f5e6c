/** Waiting no longer than a time: who drains cannot wait for whatever does not end. */
import { sleep, type Life } from '@millrace/runtime';

/** True where the work is done within the time; what it throws in time is thrown. Later it goes on alone, unheard. */
export async function within(ms: number, work: Promise<unknown>): Promise<boolean> {
  const over = new AbortController();
  work.catch(() => undefined);
  try {
    return await Promise.race([work.then(() => true), sleep(ms, over.signal).then(() => false)]);
  } finally {
    over.abort(new Error('the work is over'));
  }
}

/** A step of a drain did not end in its time. What it held is found again from the rows and the log. */
export class DrainStepLeft extends Error {
  override readonly name = 'DrainStepLeft';
  readonly code = 'drain_step_left';
  readonly retryable = false;

  constructor(step: string, ms: number) {
    super(`${step}: not closed after ${ms} ms, and left so`);
  }
}

/** Registers how a thing is closed, and how long the drain waits for that. */
export function onDrainWithin(life: Pick<Life, 'onDrain'>, name: string, ms: number, close: () => Promise<unknown> | void): void {
  life.onDrain(name, async () => {
    if (!(await within(ms, Promise.resolve(close())))) throw new DrainStepLeft(name, ms);
  });
}
