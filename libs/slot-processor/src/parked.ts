/** What an operator sees and does of parked keys. A release is a record of the stream, in its key's order. */
import type { OutgoingRecord } from '@millrace/kafka';
import type { Database } from '@millrace/postgres';
import { encodeWrite, RELEASE_TYPE } from '@millrace/wire';
import { INTERNAL_KEY_PREFIX, must, type Offset, type Slot, type Stream } from '@millrace/write';
import type { ReleaseAction } from './model.ts';

export interface ParkedKeySummary {
  readonly slot: Slot;
  readonly stream: Stream;
  readonly key: string;
  /** The record that cannot apply. */
  readonly offset: Offset;
  readonly reason: string;
  readonly at: Date;
  /** The record itself and all behind it. */
  readonly records: bigint;
}

export interface ParkedRecord {
  readonly slot: Slot;
  readonly stream: Stream;
  readonly offset: Offset;
  readonly key: string;
  readonly value: Buffer | null;
  readonly at: Date;
  readonly reason: string;
}

/** The parked keys of a shard, the longest parked first; at most `limit`. */
export async function listParked(database: Database, limit: number): Promise<readonly ParkedKeySummary[]> {
  return database.query<ParkedKeySummary>({
    text: `select distinct on (slot, stream, key) slot, stream, key, "offset", reason, to_timestamp(at_ms / 1000.0) as at,
                  count(*) over (partition by slot, stream, key) as records
           from parked order by slot, stream, key, "offset" limit $1`,
    values: [limit],
  });
}

/** How many keys of a stream are parked on a shard. */
export async function countParkedKeys(database: Database, stream: Stream): Promise<number> {
  const rows = await database.query<{ keys: bigint }>({
    name: 'parked-count',
    text: 'select count(*) as keys from (select distinct slot, key from parked where stream = $1) k',
    values: [stream],
  });
  return Number(must(rows[0], 'a count is one row').keys);
}

/** The waiting records of a key, oldest first; at most `limit`. */
export async function showParked(database: Database, { key, limit }: { key: string; limit: number }): Promise<readonly ParkedRecord[]> {
  return database.query<ParkedRecord>({
    text: `select slot, stream, "offset", key, value, to_timestamp(at_ms / 1000.0) as at, reason
           from parked where key = $1 order by slot, stream, "offset" limit $2`,
    values: [key, limit],
  });
}

/**
 * The record that releases a key, in the slot where it is parked. `id` names this order of the operator: the same id
 * twice is one release.
 */
export function releaseRecord(order: { slot: Slot; key: string; action: ReleaseAction; id: string }): OutgoingRecord {
  return {
    slot: order.slot,
    key: order.key,
    value: encodeWrite({ type: RELEASE_TYPE, idempotencyKey: `${INTERNAL_KEY_PREFIX}release-${order.id}`, data: { action: order.action } }),
  };
}
