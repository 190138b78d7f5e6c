/**
 * A receipt: what a client gets with its 202, and its read-your-writes token.
 *
 *     version 1 byte | slot 2 | offset 8 | digest 16 | tag 4     big endian, base64url, 42 characters
 *
 * The tag binds the receipt to its tenant and catches typing errors. It is a check, not a secret: what a receipt
 * gives access to is decided by the tenant of the journal row.
 */
import { hash } from 'node:crypto';
import type { Digest } from './digest.ts';
import type { Offset, Slot, Tenant } from './ids.ts';

export interface Receipt {
  readonly slot: Slot;
  readonly offset: Offset;
  readonly digest: Digest;
}

const VERSION = 1;
const BODY_BYTES = 27;
const TAG_BYTES = 4;
const RECEIPT_PATTERN = /^[A-Za-z0-9_-]{42}$/;

/** The receipt as the client carries it. */
export function encodeReceipt(tenant: Tenant, { slot, offset, digest }: Receipt): string {
  const bytes = Buffer.allocUnsafe(BODY_BYTES + TAG_BYTES);
  bytes.writeUInt8(VERSION, 0);
  bytes.writeUInt16BE(slot, 1);
  bytes.writeBigUInt64BE(offset, 3);
  bytes.write(digest, 11, 'hex');
  bytes.write(tag(tenant, bytes), BODY_BYTES, 'hex');
  return bytes.toString('base64url');
}

/** The receipt that a tenant presents; undefined where it is malformed or was issued to another tenant. */
export function decodeReceipt(tenant: Tenant, text: string): Receipt | undefined {
  if (!RECEIPT_PATTERN.test(text)) return undefined;
  const bytes = Buffer.from(text, 'base64url');
  if (bytes.toString('base64url') !== text || bytes.readUInt8(0) !== VERSION) return undefined;
  if (bytes.toString('hex', BODY_BYTES) !== tag(tenant, bytes)) return undefined;
  return {
    slot: bytes.readUInt16BE(1) as Slot,
    offset: bytes.readBigUInt64BE(3) as Offset,
    digest: bytes.toString('hex', 11, BODY_BYTES) as Digest,
  };
}

function tag(tenant: Tenant, bytes: Buffer): string {
  return hash('sha256', `${tenant}\0${bytes.toString('hex', 0, BODY_BYTES)}`, 'hex').slice(0, 2 * TAG_BYTES);
}
