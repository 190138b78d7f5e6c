/** Reads the source into the counter's window, at most at the given rate. */
import { sleep } from '@millrace/runtime';
import type { Work } from '../write.ts';
import type { Counter } from './counter.ts';

export interface Reading {
  readonly requests: Iterable<Work> | AsyncIterable<Work>;
  readonly counter: Counter;
  /** Works a second; as fast as they are answered where absent. */
  readonly ratePerSecond: number | undefined;
  readonly stop: AbortSignal;
  readonly nowMs: () => number;
}

const PACE_MS = 1;

/** Reads to the end of the source, or to `stop`. @throws what the source throws. */
export async function readSource({ requests, counter, ratePerSecond = Infinity, stop, nowMs }: Reading): Promise<void> {
  const startMs = nowMs();
  let read = 0;
  for await (const work of requests) {
    if (counter.isFull()) await counter.room();
    while (!stop.aborted && read >= ((nowMs() - startMs) * ratePerSecond) / 1_000) await sleep(PACE_MS);
    if (stop.aborted) return;
    counter.add(work);
    read++;
  }
  counter.end();
}
