import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { crc32c } from './crc32c.ts';
import { decodeBatches } from './fetch-codec.ts';
import { decodeMetadata } from './metadata-codec.ts';
import { encodeProduce, requestBytesMax } from './produce-codec.ts';
import { bytesOf } from './waiting.ts';

const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.string({ maxLength: 300 }), fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)));
const record = fc.record({
  key: fc.option(text),
  value: text,
  headers: fc.option(fc.dictionary(fc.string({ minLength: 1, maxLength: 10 }), fc.string({ unit: 'binary', maxLength: 200 }), { maxKeys: 3 }), { nil: undefined }),
});
const bytesIn = (value: string | Buffer | null): Buffer | null => (value === null ? null : Buffer.from(value));

test('what a produce request carries is what a fetch finds, within the bytes that were reckoned', () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 200 }), fc.bigInt({ min: 0n, max: 2n ** 60n }), (outgoing, baseOffset) => {
      const records = outgoing.map((one) => {
        const bytes = bytesOf({ slot: 3, ...one });
        return { ...one, keyBytes: bytes.key, valueBytes: bytes.value, headersBytes: bytes.headers };
      });
      const request = { correlationId: 7, clientId: 'c', topic: 't', timeoutMs: 1, batches: [{ slot: 3, records }] };
      const buffer = Buffer.alloc(requestBytesMax(request));
      const length = encodeProduce(buffer, request);
      expect(length).toBeLessThanOrEqual(buffer.length);
      expect(buffer.readInt32BE(0)).toBe(length - 4);

      const batchBytes = buffer.readInt32BE(BATCH_START - 4);
      expect(BATCH_START + batchBytes).toBe(length);
      const batches = buffer.subarray(BATCH_START, length);
      expect(batches.readUInt32BE(17)).toBe(crc32c(batches, 21));
      batches.writeBigInt64BE(baseOffset, 0); // as the broker does
      const { records: found, next } = decodeBatches({ slot: 3, errorCode: 0, highWatermark: 0n, aborted: [], batches }, { from: 0n, to: 2n ** 62n });
      expect(next).toBe(baseOffset + BigInt(records.length));
      expect(found.map(({ key, value, offset }) => ({ key, value, offset }))).toEqual(
        outgoing.map(({ key, value }, i) => ({ key: bytesIn(key), value: bytesIn(value), offset: baseOffset + BigInt(i) })),
      );
    }),
  );
});

/** length, key, version, correlation id, client 'c', transactional id, acks, timeout, one topic 't', one partition: 3, its bytes. */
const BATCH_START = 4 + 2 + 2 + 4 + 3 + 2 + 2 + 4 + 4 + 3 + 4 + 4 + 4;

test('metadata tell the brokers and the leader of each partition, also where one has none', () => {
  const int16 = (n: number): Buffer => Buffer.from([(n >> 8) & 0xff, n & 0xff]);
  const int32 = (n: number): Buffer => Buffer.concat([int16(n >> 16), int16(n)]);
  const string = (s: string): Buffer => Buffer.concat([int16(s.length), Buffer.from(s)]);
  const list = (...items: Buffer[]): Buffer => Buffer.concat([int32(items.length), ...items]);
  const partition = (index: number, leader: number): Buffer => Buffer.concat([int16(leader < 0 ? 5 : 0), int32(index), int32(leader), list(int32(1), int32(2)), list(int32(2)), list()]);
  const reply = Buffer.concat([
    int32(7),
    int32(0),
    list(Buffer.concat([int32(1), string('one.example'), int32(9092), int16(-1)]), Buffer.concat([int32(2), string('two.example'), int32(9093), string('rack')])),
    int16(-1),
    int32(1),
    list(Buffer.concat([int16(0), string('writes'), Buffer.from([0]), list(partition(1, -1), partition(0, 2))])),
  ]);
  expect(decodeMetadata(reply, 7)).toEqual({
    brokers: new Map([
      [1, { host: 'one.example', port: 9092 }],
      [2, { host: 'two.example', port: 9093 }],
    ]),
    errorCode: 0,
    leaders: new Map([
      [1, -1],
      [0, 2],
    ]),
  });
});
