/**
 * Where the topology says that a slot is: where a read begins (R4: only the slot row on a shard decides).
 *
 * The control database is asked again by whoever lost the way, once for all of them, and no read waits long for it.
 */
import { ownerOf } from '@millrace/ring';
import { sleep } from '@millrace/runtime';
import type { TopologyFollower } from '@millrace/topology';
import type { ShardId, Slot } from '@millrace/write';

export interface OwnerHint {
  ownerOf(slot: Slot): ShardId;
  /** Asks the control database, unless someone does or just did. */
  renew(): void;
  /** The same; resolves when it has answered, or soon after where it does not. */
  renewed(): Promise<void>;
}

/** At most one question in this time, however many reads have lost their way. */
const RENEW_INTERVAL_MS = 100;
const RENEW_WAIT_MS = 250;

export function createOwnerHint(topology: Pick<TopologyFollower, 'current' | 'refresh'>): OwnerHint {
  let underWay: Promise<void> | undefined;
  let endedAtMs = -Infinity;

  function renewal(): Promise<void> {
    if (underWay !== undefined) return underWay;
    if (performance.now() - endedAtMs < RENEW_INTERVAL_MS) return Promise.resolve();
    const end = (): void => {
      underWay = undefined;
      endedAtMs = performance.now();
    };
    underWay = topology.refresh().then(end, end);
    return underWay;
  }

  return {
    ownerOf: (slot) => ownerOf(topology.current(), slot),
    renew: () => void renewal(),
    renewed: () => Promise.race([renewal(), sleep(RENEW_WAIT_MS)]),
  };
}
