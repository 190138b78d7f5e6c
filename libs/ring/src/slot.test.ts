import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { murmur2, slotOf } from './slot.ts';

describe('the slot function', () => {
  // The first six are those of Kafka's own UtilsTest; the others were computed with kafka-clients 4.3.1.
  test.each([
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
    ['', 275646681],
    ['demo/account-1', 921482572],
    ['demo/über-é', 1673441946],
    ['日本/語', -148443741],
  ])("murmur2 of %j is Java's", (key, hash) => {
    expect(murmur2(Buffer.from(key))).toBe(hash);
  });

  test('a negative hash is masked, not negated', () => {
    expect(slotOf('21', 64)).toBe((-973932308 & 0x7fffffff) % 64);
    expect(slotOf('21', 1000)).toBe(((-973932308 & 0x7fffffff) >>> 0) % 1000);
  });

  test('text and its UTF-8 bytes have one slot, within range', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer({ min: 1, max: 4096 }), (key, slots) => {
        const slot = slotOf(key, slots);
        expect(slotOf(Buffer.from(key), slots)).toBe(slot);
        expect(slot).toBeGreaterThanOrEqual(0);
        expect(slot).toBeLessThan(slots);
      }),
    );
  });

  test('bytes with the high bit set are unsigned, at every place of the tail', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        expect(murmur2(Buffer.from(bytes))).toBe(murmur2ByTheBook(bytes));
      }),
    );
  });
});

/** Kafka's Java, statement by statement, over 32-bit words as bigints. */
function murmur2ByTheBook(data: Uint8Array): number {
  const word = (value: bigint): bigint => BigInt.asUintN(32, value);
  const m = 0x5bd1e995n;
  const at = (i: number): bigint => BigInt(data[i] ?? 0);
  const words = Math.floor(data.length / 4);
  let h = 0x9747b28cn ^ BigInt(data.length);
  for (let i = 0; i < words; i += 1) {
    let k = at(4 * i) + (at(4 * i + 1) << 8n) + (at(4 * i + 2) << 16n) + (at(4 * i + 3) << 24n);
    k = word(k * m);
    k ^= k >> 24n;
    k = word(k * m);
    h = word(h * m) ^ k;
  }
  const rest = data.length % 4;
  if (rest === 3) h ^= at(4 * words + 2) << 16n;
  if (rest >= 2) h ^= at(4 * words + 1) << 8n;
  if (rest >= 1) h = word((h ^ at(4 * words)) * m);
  h ^= h >> 13n;
  h = word(h * m);
  h ^= h >> 15n;
  return Number(BigInt.asIntN(32, h));
}
