/** From what a client sent to the record that Kafka gets: checked, canonical, routed. */
import type { AnyWriteType } from '@millrace/domain';
import { slotOf } from '@millrace/ring';
import { encodeWrite, parseJson, RECORD_BYTES_MAX } from '@millrace/wire';
import { digestOf, routingKey, type Digest, type RoutingKey, type Slot, type Tenant } from '@millrace/write';
import { Refusal } from '../http/answer.ts';
import { nestsDeeperThan } from '../http/depth.ts';
import { limits } from '../limits.ts';

export interface PreparedWrite {
  readonly slot: Slot;
  readonly key: RoutingKey;
  readonly digest: Digest;
  /** The record's value. */
  readonly value: string;
}

export interface Fields {
  [field: string]: unknown;
}

const BYTES_PER_CHAR_MAX = 3;
const MESSAGE_CHARS_MAX = 300;

/** The JSON object that a text holds, or why it holds none. */
export function parseFields(text: string): Fields | Refusal {
  if (nestsDeeperThan(text, limits.nestingDepthMax)) {
    return invalid([{ path: '', message: `arrays and objects may nest ${limits.nestingDepthMax} deep` }]);
  }
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (error) {
    if (error instanceof SyntaxError) return new Refusal('malformed_json', clip(error.message));
    throw error;
  }
  return isFields(value) ? value : invalid([{ path: '', message: 'must be a JSON object' }]);
}

/** The record of a write whose data is not checked yet, or why there is none. */
export function prepareWrite(
  tenant: Tenant,
  writeType: AnyWriteType,
  { idempotencyKey, data, slots }: { readonly idempotencyKey: string; readonly data: unknown; readonly slots: number },
): PreparedWrite | Refusal {
  const parsed = writeType.schema.safeParse(data);
  if (!parsed.success) return invalid(parsed.error.issues.map(({ path, message }) => ({ path: path.join('.'), message })));
  const key = routingKey(tenant, writeType.id(parsed.data));
  const value = encodeWrite({ type: writeType.type, idempotencyKey, data: parsed.data });
  if (value.length * BYTES_PER_CHAR_MAX > RECORD_BYTES_MAX && Buffer.byteLength(value) > RECORD_BYTES_MAX) {
    return new Refusal('body_too_large', `a write may have ${RECORD_BYTES_MAX} bytes`);
  }
  return { slot: slotOf(key, slots), key, digest: digestOf(key, idempotencyKey), value };
}

/** A refusal that names the fields to correct. */
export function invalid(issues: readonly { readonly path: string; readonly message: string }[]): Refusal {
  const errors = issues.slice(0, limits.issuesMax).map(({ path, message }) => ({ path: clip(path), message: clip(message) }));
  return new Refusal('invalid_body', undefined, { extra: { errors } });
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function clip(text: string): string {
  return text.length <= MESSAGE_CHARS_MAX ? text : `${text.slice(0, MESSAGE_CHARS_MAX)}...`;
}
