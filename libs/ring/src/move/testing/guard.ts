/** R5: what every transaction of a mover begins with. */
import { CHANGED, COMMIT_UNKNOWN, SUPERSEDED, type Actor, type Steps } from './actor.ts';
import type { Move } from './control.ts';
import { STREAMS } from './rows.ts';
import type { Shard, SlotRow } from './shard.ts';
import { lock, transaction, type Tx } from './transaction.ts';
import type { World } from './world.ts';

/** One mover at one move. */
export interface Drive {
  readonly world: World;
  readonly self: Actor;
  readonly move: Move;
  /** The lease's, when this mover got it. */
  readonly token: number;
  /** It has written its token into both rows. */
  claimed: boolean;
}

export interface Guard {
  /** Position rows of every stream are locked before the slot row; `first stream` is a broken rule. */
  readonly positions?: 'every stream' | 'first stream';
  /** Whether the row is of this move already; a step that brings the move to the row finds an earlier one. */
  readonly move: 'this' | 'earlier';
  /** The state that the step begins with; the move alone says enough for a purge. */
  readonly finds?: ((row: SlotRow) => boolean) | undefined;
}

/** Of every transaction that copies. */
export const INCOMING: Guard = { move: 'this', finds: ({ state }) => state === 'INCOMING' };

/** Locks, looks, writes, commits. @throws SUPERSEDED, CHANGED, and what a transaction throws */
export function* guarded(drive: Drive, shard: Shard, guard: Guard, write: (tx: Tx) => void): Steps {
  const { world, self } = drive;
  try {
    yield* transaction(world, self, shard, function* (tx) {
      for (const stream of STREAMS) {
        if (guard.positions && (guard.positions === 'every stream' || stream === 0)) yield* lock(tx, stream);
      }
      yield* lock(tx, 'slot');
      check(drive, shard.slot, guard);
      write(tx);
    });
  } catch (error) {
    if (error !== COMMIT_UNKNOWN || world.rules.unknownCommitIsReadAgain) throw error;
  }
}

function check({ world: { rules }, move, token }: Drive, row: SlotRow | undefined, guard: Guard): void {
  // After the claim it is never smaller.
  if (row && rules.tokenChecked && row.token > token) throw SUPERSEDED;
  const found = row ?? ABSENT;
  if (rules.moveChecked && (found.move === move.id) !== (guard.move === 'this')) throw CHANGED;
  if (guard.finds && !guard.finds(found)) throw CHANGED;
}

/** What a shard without a row is like to a move: there is nothing of an earlier one. */
export const ABSENT: SlotRow = { state: 'ABORTED', epoch: 0n, move: null, movedTo: null, token: 0 };
