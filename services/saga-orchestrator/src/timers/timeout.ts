/** A timeout as a record of stream `sagas`: the same timer is the same record, however often it is fired. Pure. */
import { SAGA_TIMEOUT } from '@millrace/domain';
import type { OutgoingRecord } from '@millrace/kafka';
import { encodeWrite } from '@millrace/wire';
import { INTERNAL_KEY_PREFIX } from '@millrace/write';
import type { DueTimer } from './due.sql.ts';

export function timeoutRecord({ slot, key, saga, due_ms: dueMs }: DueTimer): OutgoingRecord {
  const idempotencyKey = `${INTERNAL_KEY_PREFIX}${saga}/timeout/${dueMs}`;
  return { slot, key, value: encodeWrite({ type: SAGA_TIMEOUT, idempotencyKey, data: { saga, due_ms: Number(dueMs) } }) };
}
