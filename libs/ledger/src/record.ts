/** A record of a stream as the checker reads it: a deed, an operator's release, or what must be parked. */
import { slotOf } from '@millrace/ring';
import { isWireError, parseWrite, RELEASE_TYPE } from '@millrace/wire';
import { bodyHashOf, digestOf, recordKey, tenantOf, type BodyHash, type Digest } from '@millrace/write';
import type { Deed, StreamRules } from './rules.ts';
import type { LogRecord } from './snapshot.ts';

interface Common {
  readonly offset: bigint;
  readonly key: string;
  readonly atMs: number;
  readonly value: Buffer | null;
  readonly bodyHash: BodyHash;
}

/** What may apply. */
export interface DeedReading extends Common {
  readonly kind: 'deed';
  readonly type: string;
  readonly digest: Digest;
  readonly deed: Deed;
}

export interface ReleaseReading extends Common {
  readonly kind: 'release';
  readonly digest: Digest;
  readonly action: 'retry' | 'skip';
}

/** It can never apply. The digest is undefined where not even the envelope reads. */
export interface UnreadableReading extends Common {
  readonly kind: 'unreadable';
  readonly digest: Digest | undefined;
}

export type Reading = DeedReading | ReleaseReading | UnreadableReading;

/** Reads a record by the rules of its stream; `slots` is S. */
export function readRecord(record: LogRecord, slots: number, rules: StreamRules): Reading {
  const key = recordKey(record.key);
  const bodyHash = bodyHashOf(record.value ?? '');
  const common = { offset: record.offset, key, atMs: record.timestampMs, value: record.value, bodyHash };
  const envelope = parseWrite(record.value);
  if (isWireError(envelope)) return { kind: 'unreadable', ...common, digest: undefined };
  const digest = digestOf(key, envelope.idempotencyKey);
  const unreadable = { kind: 'unreadable', ...common, digest } as const;
  if (envelope.type === RELEASE_TYPE) {
    const action = actionOf(envelope.data);
    // A release goes where its key is parked, be it the wrong slot.
    if (action === undefined) return unreadable;
    return { kind: 'release', ...common, digest, action };
  }
  const deed = isAtHome(record, key, slots) ? rules.read(envelope, key) : undefined;
  if (deed === undefined) return unreadable;
  return { kind: 'deed', ...common, type: envelope.type, digest, deed };
}

/** The type that a journal row names. */
export function typeOf(reading: Reading): string {
  if (reading.kind === 'deed') return reading.type;
  return reading.kind === 'release' ? RELEASE_TYPE : 'unknown';
}

/** The digest that a record carries, for the comparison with receipts. */
export function digestOfRecord(record: LogRecord): Digest | undefined {
  const envelope = parseWrite(record.value);
  if (isWireError(envelope)) return undefined;
  return digestOf(record.key === null ? '' : record.key.toString('utf8'), envelope.idempotencyKey);
}

/** The key is `tenant/id`, and its slot is the one that the record lies in. */
function isAtHome(record: LogRecord, key: string, slots: number): boolean {
  return tenantOf(key) !== undefined && slotOf(key, slots) === record.slot;
}

function actionOf(data: unknown): 'retry' | 'skip' | undefined {
  if (typeof data !== 'object' || data === null || !('action' in data)) return undefined;
  return data.action === 'retry' || data.action === 'skip' ? data.action : undefined;
}
