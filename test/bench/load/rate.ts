/** Requests that are due at fixed instants, over a pool of connections with one in flight each. */
import type { Connection } from './connection.ts';

/** Requests that wait for a free connection; beyond it the server is far below the rate and the run is worthless. */
const OVERDUE_MAX = 50_000;

export interface Rate {
  readonly ratePerSecond: number;
  readonly pool: readonly Connection[];
  readonly send: (connection: Connection, dueAt: number, done: () => void) => void;
  readonly isStopped: () => boolean;
  readonly onError: (error: Error) => void;
}

/** `overdue`: when those requests were due that no connection was free for yet. */
export function sendAtRate({ ratePerSecond, pool, send, isStopped, onError }: Rate): { readonly overdue: readonly number[] } {
  const startedAt = performance.now();
  const free = [...pool];
  const overdue: number[] = [];
  let due = 0;
  const dispatch = () => {
    while (free.length > 0 && overdue.length > 0) {
      // Each in its turn: the server hangs up on a connection that says nothing.
      const connection = free.shift()!;
      send(connection, overdue.shift()!, () => {
        free.push(connection);
        dispatch();
      });
    }
  };
  const timer = setInterval(() => {
    if (isStopped()) return clearInterval(timer);
    const until = Math.floor(((performance.now() - startedAt) / 1000) * ratePerSecond);
    for (; due < until; due++) overdue.push(startedAt + (due / ratePerSecond) * 1000);
    if (overdue.length > OVERDUE_MAX) onError(new Error(`the server is far below ${ratePerSecond} requests/s`));
    dispatch();
  }, 1);
  return { overdue };
}
