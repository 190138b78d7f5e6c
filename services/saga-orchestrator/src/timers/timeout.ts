/**
 * A shot of a timer, as a record of stream `sagas`. Pure.
 *
 * Each shot is a record of its own: the log may find one early, or an operator may skip it, and the timer still stands.
 * Of several that come in time the first moves the saga, and the others find it moved (S1).
 */
import { SAGA_TIMEOUT } from '@millrace/domain';
import type { OutgoingRecord } from '@millrace/kafka';
import type { JournalRow } from '@millrace/slot-processor';
import { encodeWrite, isWireError, parseWrite } from '@millrace/wire';
import { assert, INTERNAL_KEY_PREFIX } from '@millrace/write';
import type { DueTimer } from './due.sql.ts';

interface Timeout {
  readonly saga: string;
  readonly due_ms: number;
}

export function timeoutRecord({ slot, key, saga, due_ms: dueMs }: DueTimer, firedAtMs: number): OutgoingRecord {
  const idempotencyKey = `${INTERNAL_KEY_PREFIX}${saga}/timeout/${dueMs}/${firedAtMs}`;
  const data: Timeout = { saga, due_ms: Number(dueMs) };
  return { slot, key, value: encodeWrite({ type: SAGA_TIMEOUT, idempotencyKey, data }) };
}

/** How long a shot that is applied came behind its timer by the log, which both stand in; below 0 where it came early. */
export function lateMsOf({ record, type, outcome }: JournalRow): number | undefined {
  if (type !== SAGA_TIMEOUT || outcome !== 'applied') return undefined;
  const envelope = parseWrite(record.value);
  assert(!isWireError(envelope), 'what is applied was read');
  return record.atMs - (envelope.data as Timeout).due_ms;
}
