/** Times in which a slot stood still. Pure. */
import type { Advance } from './watch.ts';

/** In milliseconds since 1970. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** A slot stood at a position: the record of that offset was the next to be applied. */
export interface Stand extends Span {
  readonly position: number;
  /** It went on afterwards; otherwise it still stood where the watch ended. */
  readonly ended: boolean;
}

/** Those that lie in the span, or reach into it. */
export function standsAround(advances: readonly Advance[], span: Span, watchedUntilMs: number): readonly Stand[] {
  return advances
    .map(({ atMs, position }, index) => {
      const next = advances[index + 1];
      return { position, fromMs: atMs, toMs: next?.atMs ?? watchedUntilMs, ended: next !== undefined };
    })
    .filter(({ fromMs, toMs }) => toMs > span.fromMs && fromMs < span.toMs);
}

/**
 * The longest time for which a record waited that was the next one. `appendedAtMs` tells, by offset, when a record came
 * into the log: before that the slot stood because it had nothing to do.
 */
export function longestWaitMs(stands: readonly Stand[], appendedAtMs: ReadonlyMap<number, number>): number {
  return Math.max(0, ...stands.map((stand) => waitMs(stand, appendedAtMs.get(stand.position))));
}

/** A record without a known time was there all along, where the slot went on; and was none, where it did not. */
function waitMs({ fromMs, toMs, ended }: Stand, cameAtMs: number | undefined): number {
  if (cameAtMs === undefined) return ended ? toMs - fromMs : 0;
  return toMs - Math.max(fromMs, cameAtMs);
}
