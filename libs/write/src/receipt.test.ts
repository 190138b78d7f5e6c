import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { digestOf } from './digest.ts';
import { SLOTS_MAX, type Offset, type Slot, type Tenant } from './ids.ts';
import { decodeReceipt, encodeReceipt, type Receipt } from './receipt.ts';

const demo = 'demo' as Tenant;
const tenant = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,31}$/).map((name) => name as Tenant);
const receipt: fc.Arbitrary<Receipt> = fc.record({
  slot: fc.integer({ min: 0, max: SLOTS_MAX - 1 }).map((slot) => slot as Slot),
  offset: fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map((offset) => offset as Offset),
  digest: fc.string().map((key) => digestOf('demo/a', key)),
});

describe('receipts', () => {
  test('a receipt names its slot, offset and digest to its tenant', () => {
    fc.assert(
      fc.property(tenant, receipt, (owner, issued) => {
        const text = encodeReceipt(owner, issued);
        expect(text).toMatch(/^[A-Za-z0-9_-]{42}$/);
        expect(decodeReceipt(owner, text)).toEqual(issued);
      }),
    );
  });

  test('another tenant cannot present it', () => {
    fc.assert(
      fc.property(tenant, tenant, receipt, (owner, other, issued) => {
        fc.pre(owner !== other);
        expect(decodeReceipt(other, encodeReceipt(owner, issued))).toBeUndefined();
      }),
    );
  });

  test('a receipt with any one character changed is refused', () => {
    const alphabet = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'];
    fc.assert(
      fc.property(receipt, fc.nat(41), fc.constantFrom(...alphabet), (issued, at, character) => {
        const text = encodeReceipt(demo, issued);
        fc.pre(text.at(at) !== character);
        expect(decodeReceipt(demo, text.slice(0, at) + character + text.slice(at + 1))).toBeUndefined();
      }),
    );
  });

  test('text that is no receipt is refused', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => expect(decodeReceipt(demo, text)).toBeUndefined()));
    const issued = encodeReceipt(demo, { slot: 1 as Slot, offset: 2n as Offset, digest: digestOf('demo/a', 'k') });
    for (const text of [issued.slice(1), `${issued}A`, `${issued}\n`, ` ${issued}`, `${issued}==`]) {
      expect(decodeReceipt(demo, text)).toBeUndefined();
    }
  });

  test('the form of a receipt does not change', () => {
    const issued = encodeReceipt(demo, { slot: 63 as Slot, offset: 123456789n as Offset, digest: digestOf('demo/a', 'k') });
    expect(issued).toBe('AQA_AAAAAAdbzRWI6f9PCpKQVAb1Qy5uyV098Fvaew');
  });
});
