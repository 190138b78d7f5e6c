/**
 * Which records of a fetched batch come next for a slot. Pure.
 *
 * W4 the offset committed to Kafka is never believed: only a batch that continues what the position expects is taken.
 * A batch may begin behind what is expected because of a stale fetch, a silent reset by the client, or a hole that
 * the log really has (a transaction marker of a foreign producer). Only the last is skipped, and only after it was
 * seen again and again after seeking back, while the log still reaches back to what is expected.
 */
import { must, type Offset } from '@millrace/write';
import { GAP_SIGHTINGS_MIN } from './limits.ts';

export interface Gap {
  readonly expected: Offset;
  readonly first: Offset;
  readonly sightings: number;
}

export type Continuation<R> =
  /** The records from `from` on; the log holds no other in [from, to). */
  | { readonly kind: 'take'; readonly from: Offset; readonly to: Offset; readonly records: readonly R[] }
  /** All of it is behind us. */
  | { readonly kind: 'skip' }
  /** Seek to `gap.expected`, after a look at where the log starts. */
  | { readonly kind: 'gap'; readonly gap: Gap };

/** `records` holds at least one, offsets rising; `gap` is what the last call for this slot gave, if it was one. */
export function continueFrom<R extends { readonly offset: Offset }>(expected: Offset, records: readonly R[], gap?: Gap): Continuation<R> {
  const first = must(records[0], 'a batch holds records').offset;
  const last = must(records.at(-1), 'a batch holds records').offset;
  if (last < expected) return { kind: 'skip' };
  if (first > expected) {
    const seenBefore = gap?.expected === expected && gap.first === first ? gap.sightings : 0;
    if (seenBefore + 1 < GAP_SIGHTINGS_MIN) return { kind: 'gap', gap: { expected, first, sightings: seenBefore + 1 } };
  }
  return { kind: 'take', from: expected, to: (last + 1n) as Offset, records: records.filter(({ offset }) => offset >= expected) };
}
