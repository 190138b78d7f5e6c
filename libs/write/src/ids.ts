/**
 * The identifiers of the system.
 *
 * An id that a client chooses (account, payment, order, sku) is 1 to 64 visible ASCII characters without
 * `/`, so that `tenant/id` splits in one way only.
 */
import type { Brand } from './brand.ts';

/** Who an API key belongs to: lower case letters, digits, `-` and `_`, at most 32. */
export type Tenant = Brand<string, 'Tenant'>;
/** What a write is routed and ordered by: `tenant/id`. */
export type RoutingKey = Brand<string, 'RoutingKey'>;
/** A Kafka partition of `writes` and `sagas`, and what a shard owns: 0 to S - 1. */
export type Slot = Brand<number, 'Slot'>;
/** The name of a Postgres database that owns slots. */
export type ShardId = Brand<string, 'ShardId'>;
/** The number of a topology: 1, 2, 3 without gaps. */
export type Epoch = Brand<number, 'Epoch'>;
/** A Kafka offset within one slot of one stream; 0 and up. */
export type Offset = Brand<bigint, 'Offset'>;
/** The logs that are processed slot by slot. */
export type Stream = 'writes' | 'sagas';

export const ID_LENGTH_MAX = 64;
export const TENANT_PATTERN = /^[a-z0-9][a-z0-9_-]{0,31}$/;
/** Visible ASCII without the slash. */
export const ID_PATTERN = /^[!-.0-~]{1,64}$/;
/** Visible ASCII, as an HTTP header carries it. */
export const IDEMPOTENCY_KEY_PATTERN = /^[!-~]{1,255}$/;
/** Of own records, which are not a client's: it keeps their idempotency keys out of any client's reach. */
export const INTERNAL_KEY_PREFIX = '\u0001';
export const SHARD_ID_PATTERN = /^[a-z0-9][a-z0-9-]{0,31}$/;
export const SLOTS_MAX = 4096;

/** The routing key of a tenant's id. */
export function routingKey(tenant: Tenant, id: string): RoutingKey {
  return `${tenant}/${id}` as RoutingKey;
}

/** The tenant of a routing key, or undefined where the text is not `tenant/id` in the allowed alphabet. */
export function tenantOf(key: string): Tenant | undefined {
  const slash = key.indexOf('/');
  if (slash < 1) return undefined;
  const tenant = key.slice(0, slash);
  if (!TENANT_PATTERN.test(tenant) || !ID_PATTERN.test(key.slice(slash + 1))) return undefined;
  return tenant as Tenant;
}
