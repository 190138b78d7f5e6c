/** CRC-32C (Castagnoli, RFC 3720 appendix B.4), four bytes a step. Node's zlib has only the other polynomial. */

const POLYNOMIAL = 0x82f63b78;
const [T0, T1, T2, T3] = tables();

/** The checksum of bytes[from, to) as an unsigned 32-bit integer. */
export function crc32c(bytes: Uint8Array, from = 0, to = bytes.length): number {
  let crc = -1;
  let i = from;
  for (; i + 4 <= to; i += 4) {
    crc ^= (bytes[i] as number) | ((bytes[i + 1] as number) << 8) | ((bytes[i + 2] as number) << 16) | ((bytes[i + 3] as number) << 24);
    crc = (T3[crc & 0xff] as number) ^ (T2[(crc >>> 8) & 0xff] as number) ^ (T1[(crc >>> 16) & 0xff] as number) ^ (T0[crc >>> 24] as number);
  }
  for (; i < to; i += 1) crc = (T0[(crc ^ (bytes[i] as number)) & 0xff] as number) ^ (crc >>> 8);
  return ~crc >>> 0;
}

function tables(): readonly [Int32Array, Int32Array, Int32Array, Int32Array] {
  const first = Int32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    return crc;
  });
  const shift = (table: Int32Array): Int32Array => table.map((crc) => (first[crc & 0xff] as number) ^ (crc >>> 8));
  const second = shift(first);
  const third = shift(second);
  return [first, second, third, shift(third)];
}
