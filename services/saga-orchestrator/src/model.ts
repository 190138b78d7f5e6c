/** Stream `sagas` as the slot processor sees it: an envelope becomes an event of a saga. Pure. */
import { tables, type At } from '@millrace/domain';
import { sagaRecordTypes } from '@millrace/saga';
import type { Command, PoisonReason, StreamModel } from '@millrace/slot-processor';
import { toJson, type WriteEnvelope } from '@millrace/wire';
import { INTERNAL_KEY_PREFIX } from '@millrace/write';
import { TURN_RECORDS_MAX } from './limits.ts';

export const sagasModel: StreamModel = {
  stream: 'sagas',
  tables: tables.filter((table) => table.stream === 'sagas'),
  turnRecordsMax: TURN_RECORDS_MAX,
  command: commandOf,
  isPublic: ({ detail }) => isTransition(detail),
};

/** What moves no saga from one state to another, and refuses nobody, is between the streams. */
function isTransition(detail: unknown): boolean {
  return typeof detail === 'object' && detail !== null && ('state' in detail || 'code' in detail);
}

function commandOf({ type, idempotencyKey, data }: WriteEnvelope, at: At): Command | PoisonReason {
  const recordType = sagaRecordTypes.get(type);
  if (!recordType) return { poison: `unknown type ${toJson(type.slice(0, 64))}` };
  if (!idempotencyKey.startsWith(INTERNAL_KEY_PREFIX)) return { poison: 'the stream takes messages of Millrace alone' };
  const parsed = recordType.schema.safeParse(data);
  if (!parsed.success) return { poison: parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'data'}: ${message}`).join('; ') };
  return { type, reads: recordType.reads(at, parsed.data), apply: (rows) => recordType.apply(rows, at, parsed.data) };
}
