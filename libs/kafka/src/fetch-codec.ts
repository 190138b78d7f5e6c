/**
 * The Fetch request, version 4, its reply, and record batches version 2 (https://kafka.apache.org/protocol).
 *
 * Records of aborted transactions and control records are left out, as a read-committed consumer leaves them out.
 */
import { assert, type Offset } from '@millrace/write';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { writeRequestHeader, writeString } from './request-header.ts';
import type { SlotRecord } from './types.ts';

export interface FetchRequest {
  readonly correlationId: number;
  readonly clientId: string;
  readonly topic: string;
  readonly maxWaitMs: number;
  readonly bytesMax: number;
  readonly bytesPerSlotMax: number;
  readonly positions: readonly { readonly slot: number; readonly offset: bigint }[];
}

export interface SlotReply {
  readonly slot: number;
  readonly errorCode: number;
  /** The offset that the next record gets, as far as the replicas have it. */
  readonly highWatermark: bigint;
  readonly aborted: readonly Aborted[];
  readonly batches: Buffer;
}

interface Aborted {
  readonly producerId: bigint;
  readonly firstOffset: bigint;
}

const API_KEY_FETCH = 1;
const API_VERSION = 4;
const READ_COMMITTED = 1;
const REQUEST_OVERHEAD_BYTES = 64;
const POSITION_BYTES = 16;

/** The framed request. */
export function encodeFetch(request: FetchRequest): Buffer {
  const { clientId, topic, positions } = request;
  const names = Buffer.byteLength(clientId) + Buffer.byteLength(topic);
  const buffer = Buffer.allocUnsafe(REQUEST_OVERHEAD_BYTES + names + positions.length * POSITION_BYTES);
  let at = writeRequestHeader(buffer, { apiKey: API_KEY_FETCH, apiVersion: API_VERSION, correlationId: request.correlationId, clientId });
  at = buffer.writeInt32BE(-1, at); // a consumer, not a replica
  at = buffer.writeInt32BE(request.maxWaitMs, at);
  at = buffer.writeInt32BE(1, at); // as soon as there is anything
  at = buffer.writeInt32BE(request.bytesMax, at);
  at = buffer.writeInt8(READ_COMMITTED, at);
  at = buffer.writeInt32BE(1, at);
  at = writeString(buffer, topic, at);
  at = buffer.writeInt32BE(positions.length, at);
  for (const { slot, offset } of positions) {
    at = buffer.writeInt32BE(slot, at);
    at = buffer.writeBigInt64BE(offset, at);
    at = buffer.writeInt32BE(request.bytesPerSlotMax, at);
  }
  buffer.writeInt32BE(at - 4, 0);
  return buffer.subarray(0, at);
}

/** Reads the reply without its length prefix; the batches are views of it. */
export function decodeFetchReply(reply: Buffer, correlationId: number): readonly SlotReply[] {
  assert(reply.readInt32BE(0) === correlationId, 'a connection with one request in flight gets the reply to it');
  const replies: SlotReply[] = [];
  let at = 12;
  for (let topics = reply.readInt32BE(8); topics > 0; topics -= 1) {
    at += 2 + reply.readInt16BE(at);
    const count = reply.readInt32BE(at);
    at += 4;
    for (let i = 0; i < count; i += 1) {
      const slot = reply.readInt32BE(at);
      const errorCode = reply.readInt16BE(at + 4);
      const highWatermark = reply.readBigInt64BE(at + 6);
      const aborted: Aborted[] = [];
      const abortedCount = reply.readInt32BE(at + 22);
      at += 26;
      for (let a = 0; a < abortedCount; a += 1, at += 16) {
        aborted.push({ producerId: reply.readBigInt64BE(at), firstOffset: reply.readBigInt64BE(at + 8) });
      }
      const length = Math.max(0, reply.readInt32BE(at));
      at += 4;
      replies.push({ slot, errorCode, highWatermark, aborted, batches: reply.subarray(at, at + length) });
      at += length;
    }
  }
  return replies;
}

export interface Decoded {
  readonly records: SlotRecord[];
  /** Behind the last whole batch; undefined where there was none. */
  readonly next: bigint | undefined;
}

const LENGTH_END = 12;
const HEADER_BYTES = 61;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;
const LOG_APPEND_TIME = 0x08;
const ABORT_MARKER = 0;

/** The records with from <= offset < to. A batch that was cut off at the end of the reply is left for the next fetch. */
export function decodeBatches({ batches, aborted }: SlotReply, range: { readonly from: bigint; readonly to: bigint }): Decoded {
  const records: SlotRecord[] = [];
  const waiting = [...aborted].sort((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1));
  const aborting = new Set<bigint>();
  let next: bigint | undefined;
  let at = 0;
  while (at + HEADER_BYTES <= batches.length) {
    const end = at + LENGTH_END + batches.readInt32BE(at + 8);
    if (end > batches.length) break;
    const batch = batches.subarray(at, end);
    assert(batch[16] === 2, 'Kafka 4 keeps record batches of version 2');
    const baseOffset = batch.readBigInt64BE(0);
    const lastOffset = baseOffset + BigInt(batch.readInt32BE(23));
    while (waiting[0] !== undefined && waiting[0].firstOffset <= lastOffset) aborting.add((waiting.shift() as Aborted).producerId);
    if (isData(batch, aborting)) decodeRecords(batch, baseOffset, range, records);
    next = lastOffset + 1n;
    at = end;
  }
  return { records, next };
}

/** False for control batches and for those of a transaction that was aborted; an abort marker ends the latter. */
function isData(batch: Buffer, aborting: Set<bigint>): boolean {
  const attributes = batch.readInt16BE(21);
  const producerId = batch.readBigInt64BE(43);
  if ((attributes & CONTROL) !== 0) {
    if (controlType(batch) === ABORT_MARKER) aborting.delete(producerId);
    return false;
  }
  return (attributes & TRANSACTIONAL) === 0 || !aborting.has(producerId);
}

/** The key of a control record is its version and its type, two bytes each. */
function controlType(batch: Buffer): number {
  const cursor: Cursor = { bytes: batch, at: HEADER_BYTES };
  readVarint(cursor);
  cursor.at += 1;
  readVarint(cursor);
  readVarint(cursor);
  readVarint(cursor);
  return batch.readInt16BE(cursor.at + 2);
}

interface Cursor {
  readonly bytes: Buffer;
  at: number;
}

function decodeRecords(batch: Buffer, baseOffset: bigint, range: { readonly from: bigint; readonly to: bigint }, into: SlotRecord[]): void {
  const attributes = batch.readInt16BE(21);
  const firstMs = Number(batch.readBigInt64BE(27));
  const appendMs = (attributes & LOG_APPEND_TIME) === 0 ? undefined : Number(batch.readBigInt64BE(35));
  const cursor: Cursor = { bytes: inflate(batch.subarray(HEADER_BYTES), attributes & 0x07), at: 0 };
  for (let count = batch.readInt32BE(57); count > 0; count -= 1) {
    const length = readVarint(cursor);
    const end = cursor.at + length;
    cursor.at += 1;
    const deltaMs = readVarint(cursor);
    const offset = baseOffset + BigInt(readVarint(cursor));
    const key = readBytes(cursor);
    const value = readBytes(cursor);
    cursor.at = end;
    if (offset < range.from || offset >= range.to) continue;
    into.push({ offset: offset as Offset, key, value, timestampMs: appendMs ?? firstMs + deltaMs });
  }
}

function inflate(bytes: Buffer, codec: number): Buffer {
  if (codec === 0) return bytes;
  if (codec === 1) return gunzipSync(bytes);
  if (codec === 4) return zstdDecompressSync(bytes);
  throw new Error(`a record batch is compressed with codec ${codec}; gzip, zstd and none are read`);
}

function readBytes(cursor: Cursor): Buffer | null {
  const length = readVarint(cursor);
  if (length < 0) return null;
  cursor.at += length;
  return cursor.bytes.subarray(cursor.at - length, cursor.at);
}

/** Zigzag, seven bits a byte. Timestamp deltas may pass 32 bits, so this multiplies instead of shifting. */
function readVarint(cursor: Cursor): number {
  let value = 0;
  let scale = 1;
  for (;;) {
    const byte = cursor.bytes[cursor.at] ?? 0;
    cursor.at += 1;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) break;
    scale *= 128;
  }
  return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
}
