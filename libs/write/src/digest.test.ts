import { createHash } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { bodyHashOf, digestOf } from './digest.ts';

describe('digests', () => {
  test('a digest is the first 16 bytes of SHA-256 over key, NUL and idempotency key', () => {
    const expected = createHash('sha256').update('demo/acc-1\0retry-7').digest('hex').slice(0, 32);
    expect(digestOf('demo/acc-1', 'retry-7')).toBe(expected);
  });

  test('where the key ends and the idempotency key begins is part of the digest', () => {
    expect(digestOf('demo/a', 'bc')).not.toBe(digestOf('demo/ab', 'c'));
  });

  test('another tenant, key or idempotency key is another write', () => {
    const visible = fc.stringMatching(/^[!-~]{1,20}$/);
    fc.assert(
      fc.property(visible, visible, visible, visible, (key, idempotencyKey, otherKey, otherIdempotencyKey) => {
        const same = key === otherKey && idempotencyKey === otherIdempotencyKey;
        expect(digestOf(key, idempotencyKey) === digestOf(otherKey, otherIdempotencyKey)).toBe(same);
      }),
    );
  });

  test('a body hash is the first 8 bytes of SHA-256 as a signed bigint, of text and bytes alike', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (body) => {
        const bytes = Buffer.from(body);
        const expected = createHash('sha256').update(bytes).digest().readBigInt64BE(0);
        expect(bodyHashOf(bytes)).toBe(expected);
        expect(bodyHashOf(body)).toBe(expected);
      }),
    );
  });
});
