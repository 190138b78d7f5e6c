/** What became of a write, by its receipt. */
import type { Database } from '@millrace/postgres';
import type { Log } from '@millrace/runtime';
import { tenantOf, unreachable, type Receipt, type Slot, type Tenant } from '@millrace/write';
import { Refusal } from '../http/answer.ts';
import type { Limits } from '../limits.ts';
import type { FollowOptions, FollowSlot, Held } from './follow.ts';
import { wantedOf, courseOf, isTaken, type Until } from './goes-on.ts';
import { readPosition } from './positions.sql.ts';
import { standing } from './saga-json.ts';
import type { StatusBatches } from './status-batches.ts';
import type { StatusRow } from './statuses.sql.ts';

export type WriteStatus =
  | { readonly status: 'accepted' }
  | { readonly status: 'applied' | 'refused'; readonly type: string; readonly detail: unknown; readonly atMs: bigint }
  | { readonly status: 'parked'; readonly reason: string; readonly atMs: bigint };

export interface Outcomes {
  /** What is known now. @throws Refusal where the receipt names no write of the tenant, or no shard answers. */
  now(tenant: Tenant, receipt: Receipt): Promise<WriteStatus>;
  /** The outcome once there is one, of a saga its end; undefined where it does not come in time. */
  wait(tenant: Tenant, receipt: Receipt, waitMs: number): Promise<WriteStatus | undefined>;
  /** Resolves once the receipt's write is applied, or refused. @throws Refusal where it is not in time. */
  passed(slot: Slot, offset: bigint, expiresAtMs: number): Promise<void>;
  /** The same; and where the write asked something of a saga, the saga has answered. @throws Refusal where it is not in time. */
  answered(tenant: Tenant, receipt: Receipt, expiresAtMs: number): Promise<void>;
}

export function createOutcomes({ follow, batches, limits, log }: { follow: FollowSlot; batches: StatusBatches; limits: Limits; log: Log }): Outcomes {
  function rowOf(receipt: Receipt, options: FollowOptions<StatusRow>): Promise<Held<StatusRow>> {
    return follow.read(receipt.slot, (shard, id) => batches.read(shard, id, receipt), options);
  }

  async function read(tenant: Tenant, receipt: Receipt, options: FollowOptions<StatusRow>): Promise<WriteStatus> {
    return statusOf(tenant, receipt, await rowOf(receipt, options));
  }

  /** Another tenant's write is waited for by nobody. */
  function awaits(tenant: Tenant, until: Until): FollowOptions<StatusRow>['awaits'] {
    return (row) => (row.key !== null && tenantOf(row.key) === tenant ? wantedOf(row, until) : undefined);
  }

  return {
    now: (tenant, receipt) => read(tenant, receipt, { expiresAtMs: performance.now() + limits.followMoveMs }),
    async wait(tenant, receipt, waitMs) {
      try {
        return await read(tenant, receipt, { expiresAtMs: performance.now() + waitMs, after: receipt.offset, watchFirst: true, awaits: awaits(tenant, 'end') });
      } catch (error) {
        // The write is accepted whatever the read says: the client gets its receipt.
        if (!(error instanceof Refusal)) log.error({ slot: receipt.slot, offset: receipt.offset, error }, 'the outcome could not be read');
        return undefined;
      }
    },
    async passed(slot, offset, expiresAtMs) {
      await follow.read(slot, (shard: Database) => readPosition(shard, slot), { expiresAtMs, after: offset });
    },
    async answered(tenant, receipt, expiresAtMs) {
      await rowOf(receipt, { expiresAtMs, after: receipt.offset, awaits: awaits(tenant, 'answer') });
    },
  };
}

/** The status that a row of the shard tells. @throws Refusal where it is another tenant's, or nobody's. */
export function statusOf(tenant: Tenant, receipt: Receipt, row: Held<StatusRow>): WriteStatus {
  if (row.next_offset <= receipt.offset) return { status: 'accepted' };
  const { outcome, key, type, detail, at_ms: atMs } = row;
  if (key === null || tenantOf(key) !== tenant || atMs === null) throw new Refusal('not_found', 'no write has this receipt');
  if (outcome === null) return { status: 'parked', reason: row.reason ?? 'unknown', atMs };
  const settled = { type: type ?? 'unknown', atMs };
  const course = courseOf(row);
  switch (course) {
    case 'nowhere':
      return { ...settled, status: outcome, detail };
    case 'refused':
      return { ...settled, status: 'refused', detail: { ...facts(detail), ...facts(row.answer_detail) } };
    case 'parked':
      return { status: 'parked', reason: `the records of its saga wait: ${row.stuck ?? 'unknown'}`, atMs };
    case 'unanswered':
      return isTaken(row) ? { ...settled, status: 'applied', detail: { ...facts(detail), ...standing('reserving') } } : { status: 'accepted' };
    case 'open':
    case 'ended':
      return { ...settled, status: 'applied', detail: { ...facts(detail), ...standing(row.saga_state ?? 'reserving', row.saga_cause) } };
    default:
      return unreachable(course);
  }
}

function facts(detail: unknown): object {
  return typeof detail === 'object' && detail !== null ? detail : {};
}
