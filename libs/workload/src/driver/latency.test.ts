import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createLatencyRecorder } from './latency.ts';

test('a percentile is never below the truth and at most 3.2 % above it', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 100_000_000 }), { minLength: 1, maxLength: 300 }), (micros) => {
      const recorder = createLatencyRecorder();
      micros.forEach((each) => recorder.record(each / 1_000));
      const sorted = [...micros].sort((a, b) => a - b);
      const { count, p50Ms, p99Ms, maxMs } = recorder.summary();
      expect(count).toBe(micros.length);
      expect(maxMs).toBe(sorted.at(-1)! / 1_000);
      for (const [share, measured] of [[0.5, p50Ms], [0.99, p99Ms]] as const) {
        const truth = sorted[Math.max(1, Math.ceil(share * sorted.length)) - 1]! / 1_000;
        expect(measured).toBeGreaterThanOrEqual(truth - 1e-9);
        expect(measured).toBeLessThanOrEqual(truth * 1.032 + 0.001);
      }
    }),
  );
});

test('nothing recorded is all zeros', () => {
  expect(createLatencyRecorder().summary()).toMatchObject({ count: 0, meanMs: 0, p99Ms: 0 });
});
