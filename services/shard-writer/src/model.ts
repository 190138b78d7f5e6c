/** Stream `writes` as the slot processor sees it: an envelope becomes a command of its write type. Pure. */
import { tables, writeTypes, type At } from '@millrace/domain';
import type { Command, PoisonReason, StreamModel } from '@millrace/slot-processor';
import { toJson, type WriteEnvelope } from '@millrace/wire';
import { routingKey } from '@millrace/write';

export const writesModel: StreamModel = {
  stream: 'writes',
  tables: tables.filter((table) => table.stream === 'writes'),
  command: commandOf,
};

function commandOf({ type, data }: WriteEnvelope, at: At): Command | PoisonReason {
  const writeType = writeTypes.get(type);
  if (!writeType) return { poison: `unknown type ${toJson(type.slice(0, 64))}` };
  const parsed = writeType.schema.safeParse(data);
  if (!parsed.success) return { poison: parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'data'}: ${message}`).join('; ') };
  if (routingKey(at.tenant, writeType.id(parsed.data)) !== at.key) return { poison: 'the key is not that of the data: key and data name different resources' };
  return { type, reads: writeType.reads(at, parsed.data), apply: (rows) => writeType.apply(rows, at, parsed.data) };
}
