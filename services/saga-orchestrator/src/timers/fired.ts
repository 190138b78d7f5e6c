/**
 * What was fired on a shard and still stands there. Pure.
 *
 * A timer stands until its record is applied, so every pass over the shard sees it again: it is fired again only after a
 * while, each time a longer one. What a whole pass does not see is forgotten. However many stand, the memory is bounded:
 * where it is full nothing more is fired.
 */
import type { DueTimer } from './due.sql.ts';

export interface Fired {
  /** Those of a page that are to be fired now, as far as they can be remembered. */
  due(timers: readonly DueTimer[], nowMs: number): readonly DueTimer[];
  /** These are in the log. */
  shot(timers: readonly DueTimer[], nowMs: number): void;
  /** All pages were seen, or no more can be remembered. */
  passed(): void;
  isFull(): boolean;
}

export interface FiredLimits {
  readonly baseMs: number;
  readonly maxMs: number;
  readonly timersMax: number;
}

interface Shot {
  readonly times: number;
  readonly againAtMs: number;
}

export function createFired({ baseMs, maxMs, timersMax }: FiredLimits): Fired {
  let before = new Map<string, Shot>();
  let seen = new Map<string, Shot>();

  return {
    due(timers, nowMs) {
      const wanted: DueTimer[] = [];
      for (const timer of timers) {
        const name = nameOf(timer);
        const shot = seen.get(name) ?? before.get(name);
        if (shot) seen.set(name, shot);
        if ((shot === undefined || shot.againAtMs <= nowMs) && seen.size + wanted.length < timersMax) wanted.push(timer);
      }
      return wanted;
    },
    shot(timers, nowMs) {
      for (const timer of timers) {
        const name = nameOf(timer);
        const times = (seen.get(name)?.times ?? 0) + 1;
        seen.set(name, { times, againAtMs: nowMs + Math.min(maxMs, baseMs * 2 ** (times - 1)) });
      }
    },
    passed() {
      before = seen;
      seen = new Map();
    },
    isFull: () => seen.size >= timersMax,
  };
}

function nameOf({ slot, key, saga, due_ms: dueMs }: DueTimer): string {
  return `${slot} ${dueMs} ${key} ${saga}`;
}
