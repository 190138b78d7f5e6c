/** Waiting for something outside this process: short turns, a deadline, a reason when it passes. */
import { setTimeout as delay } from 'node:timers/promises';

export interface Patience {
  readonly timeoutMs: number;
  readonly what: string;
  readonly everyMs?: number;
  /** Gives up at once, without an error of its own, as whoever aborts knows better why. */
  readonly signal?: AbortSignal;
}

/** Resolves when `condition` holds. @throws Error naming `what` after `timeoutMs`. */
export async function until(condition: () => boolean | Promise<boolean>, patience: Patience): Promise<void> {
  const deadlineMs = performance.now() + patience.timeoutMs;
  while (!(await condition())) {
    patience.signal?.throwIfAborted();
    if (performance.now() >= deadlineMs) throw new Error(`${patience.what}: still waiting after ${patience.timeoutMs} ms`);
    await delay(patience.everyMs ?? 25);
  }
}
