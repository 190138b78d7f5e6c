/** Stream `writes` as the slot processor sees it: an envelope becomes a command of its write type. Pure. */
import { commandTypes, tables, writeTypes, type At } from '@millrace/domain';
import type { Command, PoisonReason, StreamModel } from '@millrace/slot-processor';
import { toJson, type WriteEnvelope } from '@millrace/wire';
import { INTERNAL_KEY_PREFIX, routingKey } from '@millrace/write';

export const writesModel: StreamModel = {
  stream: 'writes',
  tables: tables.filter((table) => table.stream === 'writes'),
  command: commandOf,
  // Steps of sagas are between the streams.
  isPublic: ({ type }) => !commandTypes.has(type),
};

function commandOf({ type, idempotencyKey, data }: WriteEnvelope, at: At): Command | PoisonReason {
  const command = commandTypes.get(type);
  const writeType = command ?? writeTypes.get(type);
  if (!writeType) return { poison: `unknown type ${toJson(type.slice(0, 64))}` };
  if (command && !idempotencyKey.startsWith(INTERNAL_KEY_PREFIX)) return { poison: `${type} is sent by sagas alone` };
  const parsed = writeType.schema.safeParse(data);
  if (!parsed.success) return { poison: parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'data'}: ${message}`).join('; ') };
  if (routingKey(at.tenant, writeType.id(parsed.data)) !== at.key) return { poison: 'the key is not that of the data: key and data name different resources' };
  return { type, reads: writeType.reads(at, parsed.data), apply: (rows) => writeType.apply(rows, at, parsed.data) };
}
