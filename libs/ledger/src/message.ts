/** What the streams send each other, as a journal row holds it and as a record carries it. */
import { toJson, type WriteEnvelope } from '@millrace/wire';
import { INTERNAL_KEY_PREFIX, type Stream } from '@millrace/write';
import { hash } from 'node:crypto';

export interface Message {
  /** The stream that it goes to. */
  readonly stream: Stream;
  readonly key: string;
  readonly type: string;
  readonly idempotencyKey: string;
  readonly data: unknown;
}

const COMMANDS = ['account.hold', 'account.confirm', 'account.release', 'stock.hold', 'stock.confirm', 'stock.release'];
const TO_SAGAS = ['order.start', 'return.start', 'transfer.start', 'saga.reply'];
const HASH_LENGTH = 16;

/** JSON with the fields of every object in order: jsonb keeps no order, and a relay that starts again has only jsonb. */
export function canonicalText(value: unknown): string {
  if (Array.isArray(value)) return `[${(value as readonly unknown[]).map(canonicalText).join(',')}]`;
  if (typeof value !== 'object' || value === null) return value === undefined ? 'null' : toJson(value);
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  const texts = fields.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, field]) => `${toJson(name)}:${canonicalText(field)}`);
  return `{${texts.join(',')}}`;
}

/** What tells one text from another: 96 bits. */
export function hashOf(text: string): string {
  return hash('sha256', text, 'base64').slice(0, HASH_LENGTH);
}

/** All messages of a journal row, in their order; null where there are none. */
export function hashOfMessages(messages: unknown): string | null {
  return messages === undefined || messages === null ? null : hashOf(canonicalText(messages));
}

/** One message, whole: where it goes, what it is called, what it says. */
export function hashOfMessage({ stream, key, type, idempotencyKey, data }: Message): string {
  return hashOf(canonicalText([stream, key, type, idempotencyKey, data]));
}

/** True for the type of a record by which a saga asks a participant. */
export function isCommand(type: string): boolean {
  return COMMANDS.includes(type);
}

/** True for a record that only a journal row can have sent: no client, no timer and no operator writes such a one. */
export function isSent({ type, idempotencyKey, data }: WriteEnvelope): boolean {
  if (!idempotencyKey.startsWith(INTERNAL_KEY_PREFIX)) return false;
  if (type === 'saga.cancel') return typeof data === 'object' && data !== null && 'by' in data && data.by === 'client';
  return isCommand(type) || TO_SAGAS.includes(type);
}
