import { expect, test } from '@jest/globals';
import { crc32c } from './crc32c.ts';

test('agrees with the vectors of RFC 3720, appendix B.4', () => {
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
  expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
  expect(crc32c(Buffer.from(Array.from({ length: 32 }, (_, i) => i)))).toBe(0x46dd794e);
  expect(crc32c(Buffer.from(Array.from({ length: 32 }, (_, i) => 31 - i)))).toBe(0x113fdb5c);
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
});

test('covers exactly the range, whatever its length', () => {
  for (let length = 0; length < 9; length += 1) {
    const bytes = Buffer.from('abcdefghijkl');
    expect(crc32c(bytes, 2, 2 + length)).toBe(crc32c(bytes.subarray(2, 2 + length)));
  }
});
