/**
 * What makes two records the same write.
 *
 * The digest names a write (tenant, key and idempotency key; the routing key holds the tenant), the body hash
 * names its content. Both are cut from SHA-256 (FIPS 180-4): 128 bits keep collisions out of reach for the life
 * of a slot, 64 bits suffice to tell two bodies under one digest apart.
 */
import { hash } from 'node:crypto';
import type { Brand } from './brand.ts';

/** 16 bytes as 32 lower-case hex characters. */
export type Digest = Brand<string, 'Digest'>;
/** 8 bytes as a signed 64-bit integer, as Postgres keeps it. */
export type BodyHash = Brand<bigint, 'BodyHash'>;

/** The digest of a write. No part may hold a NUL; ids and keys never do. */
export function digestOf(key: string, idempotencyKey: string): Digest {
  return hash('sha256', `${key}\0${idempotencyKey}`, 'hex').slice(0, 32) as Digest;
}

/** The hash of a record's value as it stands in Kafka. */
export function bodyHashOf(value: Buffer | string): BodyHash {
  return BigInt.asIntN(64, BigInt(`0x${hash('sha256', value, 'hex').slice(0, 16)}`)) as BodyHash;
}
