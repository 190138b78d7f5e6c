/**
 * A record of the streams `writes` and `sagas`.
 *
 * Key: the routing key in UTF-8. Value: one JSON object, written in this order of fields, so that a retry has the
 * same bytes and so the same body hash:
 *
 *     {"type": "account.deposit", "idempotency_key": "...", "data": {...}}
 */
import { IDEMPOTENCY_KEY_PATTERN, INTERNAL_KEY_PREFIX } from '@millrace/write';
import { parseJson } from './json.ts';

export interface WriteEnvelope {
  readonly type: string;
  readonly idempotencyKey: string;
  /** Not yet validated: the write type's schema does that. */
  readonly data: unknown;
}

/** Why a record cannot be read at all. */
export interface WireError {
  readonly kind: 'malformed';
  readonly reason: string;
}

/** An operator's release of a parked key is a record too, so that it has its place in the key's order. */
export const RELEASE_TYPE = 'parked.release';

export const RECORD_BYTES_MAX = 512 * 1024;

/** The value of a record; `data` must already be in its canonical wire form, in which amounts are text. */
export function encodeWrite({ type, idempotencyKey, data }: WriteEnvelope): string {
  return `{"type":${JSON.stringify(type)},"idempotency_key":${JSON.stringify(idempotencyKey)},"data":${JSON.stringify(data)}}`;
}

/** How the value of a record that Millrace itself sends says so: to look for where values are only bytes. */
export const INTERNAL_KEY_BYTES = Buffer.from(`"idempotency_key":${JSON.stringify(INTERNAL_KEY_PREFIX).slice(0, -1)}`);

/** The envelope of a record's value, or the reason why it has none. Never throws. */
export function parseWrite(value: Buffer | null): WriteEnvelope | WireError {
  if (value === null) return malformed('the record has no value');
  if (value.length > RECORD_BYTES_MAX) return malformed(`the value has more than ${RECORD_BYTES_MAX} bytes`);
  let parsed: unknown;
  try {
    parsed = parseJson(decoder.decode(value));
  } catch (error) {
    return malformed(error instanceof SyntaxError ? 'the value is not JSON' : 'the value is not UTF-8');
  }
  return envelopeOf(parsed);
}

export function isWireError(value: WriteEnvelope | WireError): value is WireError {
  return 'kind' in value;
}

const decoder = new TextDecoder('utf-8', { fatal: true });

function envelopeOf(value: unknown): WriteEnvelope | WireError {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return malformed('the value is not an object');
  const { type, idempotency_key: idempotencyKey, data, ...rest } = value as Record<string, unknown>;
  if (typeof type !== 'string') return malformed('`type` is not a string');
  if (typeof idempotencyKey !== 'string') return malformed('`idempotency_key` is not a string');
  const visible = idempotencyKey.startsWith(INTERNAL_KEY_PREFIX) ? idempotencyKey.slice(INTERNAL_KEY_PREFIX.length) : idempotencyKey;
  if (!IDEMPOTENCY_KEY_PATTERN.test(visible)) {
    return malformed('`idempotency_key` is not 1 to 255 visible ASCII characters');
  }
  for (const field in rest) return malformed(`unknown field ${JSON.stringify(field.slice(0, 64))}`);
  return { type, idempotencyKey, data };
}

function malformed(reason: string): WireError {
  return { kind: 'malformed', reason };
}
