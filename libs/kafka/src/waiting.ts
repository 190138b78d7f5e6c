/** Records between `send` and their offset. The objects are many and short-lived: one per record, of one shape. */
import type { Offset } from '@millrace/write';
import { ProduceUnknown } from './errors.ts';
import { headersBytesOf } from './produce-codec.ts';
import type { OutgoingRecord, Sent } from './types.ts';

/** A record on its way. `many` is set instead of the promise's ends where it came with others. */
export interface Waiting {
  readonly slot: number;
  readonly key: string | Buffer | null;
  readonly keyBytes: number;
  readonly value: string | Buffer;
  readonly valueBytes: number;
  readonly headers: Readonly<Record<string, string>> | undefined;
  readonly headersBytes: number;
  readonly sinceMs: number;
  maybeStored: boolean;
  readonly resolve: ((sent: Sent) => void) | undefined;
  readonly reject: ((error: Error) => void) | undefined;
  readonly many: Many | undefined;
  readonly index: number;
}

/** Records that are settled together. */
export interface Many {
  readonly offsets: Offset[];
  readonly topic: string;
  left: number;
  stored: number;
  error: Error | undefined;
  readonly resolve: (offsets: readonly Offset[]) => void;
  readonly reject: (error: Error) => void;
}

export interface Batch {
  readonly slot: number;
  readonly records: Waiting[];
}

export interface Bytes {
  readonly key: number;
  readonly value: number;
  readonly headers: number;
  readonly total: number;
}

/** The bytes that a record takes of the queue. */
export function bytesOf({ key, value, headers }: OutgoingRecord): Bytes {
  const keyBytes = key === null ? 0 : Buffer.byteLength(key);
  const valueBytes = Buffer.byteLength(value);
  const headersBytes = headers === undefined ? 0 : headersBytesOf(headers);
  return { key: keyBytes, value: valueBytes, headers: headersBytes, total: keyBytes + valueBytes + headersBytes };
}

/** By slot, the order within each slot kept. */
export function group(records: readonly Waiting[]): readonly Batch[] {
  const bySlot = new Map<number, Batch>();
  for (const record of records) {
    const batch = bySlot.get(record.slot);
    if (batch === undefined) bySlot.set(record.slot, { slot: record.slot, records: [record] });
    else batch.records.push(record);
  }
  return [...bySlot.values()];
}

/** The record is stored. */
export function confirmOne(record: Waiting, offset: Offset): void {
  if (record.many === undefined) return record.resolve?.({ offset });
  record.many.offsets[record.index] = offset;
  record.many.stored += 1;
  return settleOne(record.many);
}

/** The record is given up. */
export function refuseOne(record: Waiting, error: Error): void {
  if (record.many === undefined) return record.reject?.(error);
  return refuseOneOf(record.many, error);
}

export function refuseOneOf(many: Many, error: Error): void {
  // What may be stored must not be told as what is not.
  if (error instanceof ProduceUnknown) many.error = error;
  else many.error ??= error;
  settleOne(many);
}

function settleOne(many: Many): void {
  many.left -= 1;
  if (many.left > 0) return;
  if (many.error === undefined) many.resolve(many.offsets);
  else many.reject(many.stored > 0 && !(many.error instanceof ProduceUnknown) ? new ProduceUnknown(many.topic, many.error) : many.error);
}
