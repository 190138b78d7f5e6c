/**
 * Which slots move while the ledger is checked, as the control database tells.
 *
 * A move that was open at any time since the first look counts: what a snapshot showed may be finished by the time it
 * is judged. So look before the snapshot, and again before judging it. A move is in the control database before it
 * touches a shard, and leaves it (done, aborted) after it has touched the last one.
 */
import type { Database } from '@millrace/postgres';
import type { ShardId } from '@millrace/write';

export interface OpenMove {
  readonly slot: number;
  readonly source: ShardId;
  readonly target: ShardId;
}

export interface Moves {
  /** Asks the control database again. */
  look(): Promise<void>;
  /** By the newest topology; undefined for a slot that does not exist. */
  owner(slot: number): ShardId | undefined;
  /** True where a move of the slot is, or was, open; with a shard, one from or to it. */
  isMoving(slot: number, shard?: ShardId): boolean;
  /** Slots of such moves. */
  slots(): number;
  /** Shards of such moves, and all owners. */
  shards(): readonly ShardId[];
}

/** Without a control database every move is taken for ended, and the owners for final. */
export function createMoves({ owners, control }: { readonly owners: readonly ShardId[]; readonly control?: Database | undefined }): Moves {
  let known = knownMoves(owners, []);
  let since: string | undefined;
  return {
    async look() {
      if (control === undefined) return;
      const told = await readControl(control, since);
      since ??= told.at;
      known = knownMoves(told.owners ?? owners, [...known.all, ...told.moves]);
    },
    owner: (slot) => known.owners[slot],
    isMoving: (slot, shard) => known.isMoving(slot, shard),
    slots: () => known.slots(),
    shards: () => known.shards(),
  };
}

interface KnownMoves extends Omit<Moves, 'look' | 'owner'> {
  readonly owners: readonly ShardId[];
  readonly all: readonly OpenMove[];
}

/** What is known at one moment. Pure. */
export function knownMoves(owners: readonly ShardId[], moves: readonly OpenMove[]): KnownMoves {
  const shardsBySlot = new Map<number, Set<ShardId>>();
  for (const { slot, source, target } of moves) shardsBySlot.set(slot, new Set([...(shardsBySlot.get(slot) ?? []), source, target]));
  return {
    owners,
    all: moves,
    isMoving: (slot, shard) => (shard === undefined ? shardsBySlot.has(slot) : shardsBySlot.get(slot)?.has(shard) === true),
    slots: () => shardsBySlot.size,
    shards: () => [...new Set([...owners, ...[...shardsBySlot.values()].flatMap((shards) => [...shards])])],
  };
}

interface ControlView {
  readonly at: string;
  readonly owners: readonly ShardId[] | undefined;
  readonly moves: readonly OpenMove[];
}

async function readControl(control: Database, since: string | undefined): Promise<ControlView> {
  const [clock] = await control.query<{ readonly at: string }>({ text: 'select clock_timestamp()::text as at' });
  const moves = await control.query<OpenMove>({
    text: `select slot, source, target from move where state not in ('done', 'aborted') or ended_at >= $1::timestamptz`,
    values: [since ?? clock?.at],
  });
  const [topology] = await control.query<{ readonly owners: readonly ShardId[] }>({ text: 'select owners from topology order by epoch desc limit 1' });
  return { at: clock?.at ?? 'now', owners: topology?.owners, moves };
}
