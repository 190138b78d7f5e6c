/** Keeps a child running, as Kubernetes would: what ends by itself is started again, with backoff. */
import { backoffMs, sleep } from '@millrace/runtime';

import type { Child } from './child.ts';
import { until } from './wait.ts';

const BACKOFF = { baseMs: 400, maxMs: 10_000 };
/** Whoever ran this long is not in a crash loop. */
const SETTLED_MS = 30_000;
const STOP_TIMEOUT_MS = 180_000;

export interface Supervision {
  /** False leaves the dead alone: a test starts them again itself. */
  readonly restart: boolean;
  readonly report: (line: string) => void;
}

/** The child under supervision: `stop` is final until the next `start`, `kill` is an accident. */
export function supervised<C extends Child>(child: C, { restart, report }: Supervision): C {
  const inner = { start: child.start, stop: child.stop };
  let wanted = new AbortController();
  let keeper: Promise<void> = Promise.resolve();
  wanted.abort();

  const keep = async (signal: AbortSignal): Promise<void> => {
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      const sinceMs = performance.now();
      const exit = await child.exited();
      if (signal.aborted) return;
      if (performance.now() - sinceMs > SETTLED_MS) attempt = 1;
      if (exit !== undefined) report(`${child.name} ended (${exit.signal ?? `code ${exit.code}`}); starting it again`);
      await sleep(50 + backoffMs(attempt, BACKOFF), signal).catch(() => undefined);
      if (signal.aborted || child.pid !== undefined) continue;
      await inner.start().then(
        () => report(`${child.name} runs again`),
        (error: unknown) => report(`${child.name}: ${String(error)}`),
      );
    }
  };

  const start = async (): Promise<void> => {
    wanted = new AbortController();
    await inner.start();
    if (restart) keeper = keep(wanted.signal);
  };

  const stop = async (): Promise<void> => {
    wanted.abort();
    let over = false;
    void keeper.then(() => (over = true));
    // The keeper may be in the middle of a start: what it brings up is stopped too.
    const stopped = async (): Promise<boolean> => {
      await inner.stop();
      return over;
    };
    await until(stopped, { timeoutMs: STOP_TIMEOUT_MS, what: `${child.name} to stop` });
    await inner.stop();
  };

  return Object.assign(child, { start, stop });
}
