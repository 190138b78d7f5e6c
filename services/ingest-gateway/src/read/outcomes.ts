/** What became of a write, by its receipt. */
import type { Database } from '@millrace/postgres';
import type { Log } from '@millrace/runtime';
import { tenantOf, type Receipt, type Slot, type Tenant } from '@millrace/write';
import { Refusal } from '../http/answer.ts';
import type { Limits } from '../limits.ts';
import type { FollowOptions, FollowSlot, Held } from './follow.ts';
import { readPositions, type SlotRow } from './positions.sql.ts';
import type { StatusBatches } from './status-batches.ts';
import type { StatusRow } from './statuses.sql.ts';

export type WriteStatus =
  | { readonly status: 'accepted' }
  | { readonly status: 'applied' | 'refused'; readonly type: string; readonly detail: unknown; readonly atMs: bigint }
  | { readonly status: 'parked'; readonly reason: string; readonly atMs: bigint };

export interface Outcomes {
  /** What is known now. @throws Refusal where the receipt names no write of the tenant, or no shard answers. */
  now(tenant: Tenant, receipt: Receipt): Promise<WriteStatus>;
  /** The outcome once there is one; undefined where it does not come in time. */
  wait(tenant: Tenant, receipt: Receipt, waitMs: number): Promise<WriteStatus | undefined>;
  /** Resolves once the receipt's write is applied, or refused. @throws Refusal where it is not in time. */
  passed(slot: Slot, offset: bigint, expiresAtMs: number): Promise<void>;
}

export function createOutcomes({ follow, batches, limits, log }: { follow: FollowSlot; batches: StatusBatches; limits: Limits; log: Log }): Outcomes {
  async function read(tenant: Tenant, receipt: Receipt, options: FollowOptions): Promise<WriteStatus> {
    const row = await follow.read(receipt.slot, (shard, id) => batches.read(shard, id, receipt), options);
    return statusOf(tenant, receipt, row);
  }

  return {
    now: (tenant, receipt) => read(tenant, receipt, { expiresAtMs: performance.now() + limits.followMoveMs }),
    async wait(tenant, receipt, waitMs) {
      try {
        return await read(tenant, receipt, { expiresAtMs: performance.now() + waitMs, after: receipt.offset, watchFirst: true });
      } catch (error) {
        // The write is accepted whatever the read says: the client gets its receipt.
        if (!(error instanceof Refusal)) log.error({ slot: receipt.slot, offset: receipt.offset, error }, 'the outcome could not be read');
        return undefined;
      }
    },
    async passed(slot, offset, expiresAtMs) {
      const position = async (shard: Database): Promise<SlotRow | undefined> => (await readPositions(shard, [slot]))[0];
      await follow.read(slot, position, { expiresAtMs, after: offset });
    },
  };
}

/** The status that a row of the shard tells. @throws Refusal where it is another tenant's, or nobody's. */
export function statusOf(tenant: Tenant, receipt: Receipt, row: Held<StatusRow>): WriteStatus {
  if (row.next_offset <= receipt.offset) return { status: 'accepted' };
  const { outcome, key, type, detail, at_ms: atMs } = row;
  if (key === null || tenantOf(key) !== tenant || atMs === null) throw new Refusal('not_found', 'no write has this receipt');
  if (outcome !== null) return { status: outcome, type: type ?? 'unknown', detail, atMs };
  return { status: 'parked', reason: row.reason ?? 'unknown', atMs };
}
