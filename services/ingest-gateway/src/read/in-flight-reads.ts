/** The reads between their headers and their answer, against their limit: each holds a query, or waits to ask one. */
import { Refusal } from '../http/answer.ts';
import type { Limits } from '../limits.ts';

export interface InFlightReads {
  /** Does the work as one of the reads. @throws Refusal at the limit, before it begins. */
  hold<T>(work: () => Promise<T>): Promise<T>;
  count(): number;
}

export function createInFlightReads({ inFlightReadsMax }: Pick<Limits, 'inFlightReadsMax'>): InFlightReads {
  let reads = 0;
  return {
    async hold(work) {
      if (reads >= inFlightReadsMax) throw new Refusal('too_many_requests', 'too many reads', { retryAfterS: 1 });
      reads += 1;
      try {
        return await work();
      } finally {
        reads -= 1;
      }
    },
    count: () => reads,
  };
}
