import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { encodeOutcome, isNewer, parseOutcome, placeOf, type OutcomeEvent, type Place } from './outcome.ts';

const event = (offset: number, releasedBy?: number): OutcomeEvent => ({
  stream: 'writes',
  slot: 0,
  offset: String(offset),
  key: 'demo/a',
  type: 'account.deposit',
  outcome: 'applied',
  ...(releasedBy === undefined ? {} : { detail: { released_by: String(releasedBy) } }),
  at: new Date(0).toISOString(),
});

/** What a receiver takes of a feed, by offset. */
function take(feed: readonly OutcomeEvent[]): readonly number[] {
  const taken: number[] = [];
  let last: Place | undefined;
  for (const each of feed.map((one) => parseOutcome(Buffer.from(encodeOutcome(one))))) {
    if (!isNewer(each, last)) continue;
    last = placeOf(each);
    taken.push(Number(each.offset));
  }
  return taken;
}

/** Events of one slot as they took effect: some records wait until a release behind them lets them go. */
const effects = fc.array(fc.boolean(), { minLength: 1, maxLength: 30 }).map((parks) => {
  const release = parks.length;
  const [waited, applied] = [[] as OutcomeEvent[], [] as OutcomeEvent[]];
  for (const [offset, isParked] of parks.entries()) (isParked ? waited : applied).push(event(offset, isParked ? release : undefined));
  return [...applied, ...waited, event(release), event(release + 1)];
});

describe('a receiver of outcomes', () => {
  test('takes what a release let go, though its offset is older', () => {
    expect(take([event(1), event(4), event(0, 5), event(3, 5), event(5), event(6)])).toEqual([1, 4, 0, 3, 5, 6]);
  });

  test('takes every event once, in the order in which they took effect, whatever is published again', () => {
    fc.assert(
      fc.property(effects, fc.array(fc.tuple(fc.nat(40), fc.nat(40)), { maxLength: 6 }), (events, again) => {
        // A relay that begins again goes back, never ahead of what is out.
        const feed: OutcomeEvent[] = [];
        let out = 0;
        for (const [back, ahead] of [...again, [0, events.length] as const]) {
          const from = Math.max(0, out - back);
          const to = Math.min(events.length, from + ahead);
          feed.push(...events.slice(from, to));
          out = Math.max(out, to);
        }
        feed.push(...events.slice(out));
        expect(take(feed)).toEqual(events.map(({ offset }) => Number(offset)));
      }),
    );
  });
});
