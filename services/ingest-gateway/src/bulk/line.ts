/** One line of NDJSON: `{"type": ..., "idempotency_key": ..., "data": {...}}`. */
import { writeTypes } from '@millrace/domain';
import { IDEMPOTENCY_KEY_PATTERN, type Tenant } from '@millrace/write';
import { Refusal } from '../http/answer.ts';
import { limits } from '../limits.ts';
import { invalid, parseFields, prepareWrite, type Fields, type PreparedWrite } from '../write/prepare.ts';
import type { Line } from './split.ts';

/** The record of a line, or why it has none. */
export function prepareLine(tenant: Tenant, line: Line, slots: number): PreparedWrite | Refusal {
  if (typeof line !== 'string') return unreadable(line.bad);
  const fields = parseFields(line);
  if (fields instanceof Refusal) return fields;
  const { type, idempotency_key: idempotencyKey, data } = fields;
  if (typeof idempotencyKey !== 'string' || !IDEMPOTENCY_KEY_PATTERN.test(idempotencyKey)) return new Refusal('idempotency_key_required', '`idempotency_key`');
  const writeType = typeof type === 'string' ? writeTypes.get(type) : undefined;
  if (!writeType) return invalid([{ path: 'type', message: `must be one of ${[...writeTypes.keys()].join(', ')}` }]);
  const surplus = surplusOf(fields);
  if (surplus !== undefined) return invalid([{ path: surplus, message: 'is not a field of a line' }]);
  const write = prepareWrite(tenant, writeType, { idempotencyKey, data, slots });
  return write;
}

function surplusOf(fields: Fields): string | undefined {
  for (const field in fields) {
    if (field !== 'type' && field !== 'idempotency_key' && field !== 'data') return field;
  }
  return undefined;
}

function unreadable(bad: 'too_long' | 'not_utf8'): Refusal {
  if (bad === 'too_long') return new Refusal('body_too_large', `a line may have ${limits.lineBytesMax} bytes`);
  return new Refusal('malformed_json', 'the line is not UTF-8');
}
