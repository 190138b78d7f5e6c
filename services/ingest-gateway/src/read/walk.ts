/** The way of one read from shard to shard: from the topology's hint along the signposts. Pure. */
import type { ShardId } from '@millrace/write';

export interface Walk {
  at(): ShardId;
  /** Goes where a signpost points; false where this walk has been there, which the rows of one moment never ask for. */
  follow(to: ShardId): boolean;
  /** Begins again at the owner that the topology names now. */
  startOver(): void;
  /** The same, but only where the topology names another owner than at the start of the walk. */
  heed(): boolean;
}

export function createWalk(owner: () => ShardId): Walk {
  let start = owner();
  let at = start;
  let seen = new Set([at]);

  function startOver(): void {
    start = owner();
    at = start;
    seen = new Set([at]);
  }

  return {
    at: () => at,
    follow(to) {
      if (seen.has(to)) return false;
      seen.add(to);
      at = to;
      return true;
    },
    startOver,
    heed() {
      if (owner() === start) return false;
      startOver();
      return true;
    },
  };
}
