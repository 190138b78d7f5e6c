/** What the admin API's work is done with. */
import type { Database } from '@millrace/postgres';
import type { Log } from '@millrace/runtime';
import type { Cluster, Shards } from '@millrace/topology';
import type { ShardId } from '@millrace/write';
import type { MoveOrder, SlotStatistics, VerifyReport } from '../move/types.ts';

export interface ControlContext {
  readonly control: Database;
  /** Of the owner's role. */
  readonly shards: Shards;
  readonly cluster: Cluster;
  readonly limits: MoveLimits;
  readonly statistics: (database: Database) => Promise<readonly SlotStatistics[]>;
  readonly verify: (input: { readonly order: MoveOrder; readonly database: (shard: ShardId) => Database }) => Promise<VerifyReport>;
  readonly log: Log;
}

/** How much may move at once. */
export interface MoveLimits {
  /** Slots on their way from one shard to one other. */
  readonly movesPerPair: number;
  readonly movesMax: number;
  /** Of all moves together. */
  readonly bytesPerSecondMax: number;
}
