/**
 * The requests that wait, against their limit: each keeps its place from its first wait to its answer, however often it
 * asks in between. Behind the limit nobody waits, so that waits leave connections to all others.
 */
import { Refusal } from '../http/answer.ts';
import type { Limits } from '../limits.ts';

export interface Waits {
  /** For one request. */
  place(): Place;
  count(): number;
}

export interface Place {
  /** Before each wait. @throws Refusal where there is no room for the first. */
  take(): void;
  /** Once the request waits no more. */
  give(): void;
}

export function createWaits({ waitersMax }: Pick<Limits, 'waitersMax'>): Waits {
  let taken = 0;

  function place(): Place {
    let mine = false;
    return {
      take() {
        if (mine) return;
        if (taken >= waitersMax) throw new Refusal('too_many_requests', 'too many requests wait', { retryAfterS: 1 });
        taken += 1;
        mine = true;
      },
      give() {
        if (mine) taken -= 1;
        mine = false;
      },
    };
  }

  return { place, count: () => taken };
}
