/** Latencies in buckets of 50 microseconds up to ten seconds; what is longer counts as ten seconds. */

const BUCKET_MS = 0.05;
const BUCKETS = 200_000;

export interface Histogram {
  readonly record: (ms: number) => void;
  readonly quantile: (q: number) => number;
  readonly count: () => number;
}

export function createHistogram(): Histogram {
  const buckets = new Uint32Array(BUCKETS);
  let count = 0;
  return {
    record: (ms) => {
      buckets[Math.min(Math.floor(ms / BUCKET_MS), BUCKETS - 1)]! += 1;
      count += 1;
    },
    /** In milliseconds, rounded up to its bucket; NaN where nothing was recorded. */
    quantile: (q) => {
      let left = Math.ceil(q * count);
      if (left === 0) return Number.NaN;
      for (let i = 0; i < BUCKETS; i++) {
        left -= buckets[i]!;
        if (left <= 0) return (i + 1) * BUCKET_MS;
      }
      return BUCKETS * BUCKET_MS;
    },
    count: () => count,
  };
}
