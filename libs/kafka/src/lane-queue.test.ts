import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createMainQueue, createSideQueue } from './lane-queue.ts';
import type { Batch, Waiting } from './waiting.ts';

const LIMITS = { recordsPerRequestMax: 5, bytesPerRequestMax: 40 };
const record = (slot: number, index: number, valueBytes: number): Waiting => ({
  slot, index, valueBytes, key: null, keyBytes: 0, value: '', headers: undefined, headersBytes: 0, sinceMs: index, maybeStored: false, resolve: undefined, reject: undefined, many: undefined,
});

/** `keep` settles what was taken; otherwise the slots of the mask go back. */
const command = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('push' as const), slot: fc.nat(3), bytes: fc.nat(50) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('take' as const), back: fc.nat(15) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('takeSlots' as const), mask: fc.nat(15) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('takeOlder' as const), sinceMs: fc.nat(60) }) },
);

test.each([['main', createMainQueue], ['side', createSideQueue]] as const)('L3 a %s queue keeps the order of each slot, loses nothing and fills no request beyond its limits', (kind, create) => {
  fc.assert(
    fc.property(fc.array(command, { maxLength: 80 }), (commands) => {
      const queue = create(LIMITS);
      const model = new Map<number, Waiting[]>([0, 1, 2, 3].map((slot) => [slot, []]));
      const of = (slot: number): Waiting[] => model.get(slot)!;
      let index = 0;
      for (const one of commands) {
        if (one.do === 'push') {
          const pushed = record(one.slot, (index += 1), one.bytes);
          of(one.slot).push(pushed);
          queue.push(pushed);
        } else if (one.do === 'take' && queue.length > 0) {
          const batches = queue.take();
          check(kind, batches);
          for (const { slot, records } of batches) expect(records).toEqual(of(slot).slice(0, records.length));
          const back = batches.filter(({ slot }) => (one.back >> slot) & 1);
          for (const { slot, records } of batches) if (!back.some((batch) => batch.slot === slot)) of(slot).splice(0, records.length);
          queue.putBack(back);
        } else if (one.do === 'takeSlots') {
          const slots = new Set([0, 1, 2, 3].filter((slot) => (one.mask >> slot) & 1));
          const taken = queue.takeSlots(slots);
          for (const slot of slots) expect(taken.filter((each) => each.slot === slot)).toEqual(of(slot).splice(0));
          expect(taken.every(({ slot }) => slots.has(slot))).toBe(true);
        } else if (one.do === 'takeOlder') {
          const taken = queue.takeOlder(one.sinceMs);
          for (const slot of model.keys()) {
            expect(taken.filter((each) => each.slot === slot)).toEqual(of(slot).filter(({ sinceMs }) => sinceMs <= one.sinceMs));
            model.set(slot, of(slot).filter(({ sinceMs }) => sinceMs > one.sinceMs));
          }
        }
        expect(queue.length).toBe([...model.values()].reduce((sum, records) => sum + records.length, 0));
      }
    }),
    { numRuns: 500 },
  );
});

function check(kind: 'main' | 'side', batches: readonly Batch[]): void {
  const records = batches.flatMap((batch) => batch.records);
  expect(records.length).toBeGreaterThan(0);
  expect(records.length).toBeLessThanOrEqual(LIMITS.recordsPerRequestMax);
  const bytes = records.reduce((sum, { valueBytes }) => sum + valueBytes, 0);
  expect(records.length === 1 || bytes <= LIMITS.bytesPerRequestMax).toBe(true);
  expect(new Set(batches.map(({ slot }) => slot)).size).toBe(batches.length);
  if (kind === 'side') for (const batch of batches) expect(batch.records).toHaveLength(1);
}

test('a side queue comes to every slot, whatever fails again', () => {
  const queue = createSideQueue({ recordsPerRequestMax: 2, bytesPerRequestMax: 1_000 });
  for (let index = 0; index < 30; index += 1) queue.push(record(index % 3, index, 10));
  const seen = new Set<number>();
  for (let round = 0; round < 2; round += 1) {
    const batches = queue.take();
    for (const { slot } of batches) seen.add(slot);
    queue.putBack(batches);
  }
  expect(seen).toEqual(new Set([0, 1, 2]));
});
