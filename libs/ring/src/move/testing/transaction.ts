/**
 * Transactions as Postgres has them, READ COMMITTED: a row lock is held until the commit, the abort, or the end of the
 * session; what is written is seen by others after the commit, all at once. A plain read takes no lock and waits for none.
 *
 * A client may die, and its transaction lives on until the server sees it. A client may send COMMIT and hear no answer:
 * the transaction keeps its locks and commits, or aborts, some time later.
 */
import { COMMIT_UNKNOWN, SESSION_ENDED, type Actor, type Steps } from './actor.ts';
import { NO_POSITION, type Shard } from './shard.ts';
import type { StreamNo } from './rows.ts';
import type { World } from './world.ts';

/** The slot row, or the position row of a stream. */
export type Lockable = 'slot' | StreamNo;

export interface Tx {
  readonly by: string;
  readonly shard: Shard;
  /** `abandoned`: its client is gone. `committing`: COMMIT is sent, its client waits no more. */
  state: 'open' | 'abandoned' | 'committing' | 'ended';
  readonly locks: Lockable[];
  readonly writes: (() => void)[];
}

/** Runs the work and commits it. @throws SESSION_ENDED, COMMIT_UNKNOWN, or what the work throws. */
export function* transaction(world: World, self: Actor, shard: Shard, work: (tx: Tx) => Steps): Steps {
  const tx: Tx = { by: self.name, shard, state: 'open', locks: [], writes: [] };
  self.tx = tx;
  try {
    yield* work(tx);
    if (tx.writes.length > 0) yield* sendCommit(world, tx);
  } finally {
    self.tx = undefined;
    if (tx.state === 'open') end(tx);
  }
}

/** SELECT ... FOR UPDATE; false where the row is not there. A slot row that is not there is locked as its insert would. */
export function* lock(tx: Tx, row: Lockable): Steps<boolean> {
  const stop = { tx, row };
  do yield stop;
  while (isHeld(stop));
  if (tx.state !== 'open') throw SESSION_ENDED;
  if (row !== 'slot' && tx.shard.positions[row] === NO_POSITION) return false;
  tx.shard.locks.set(row, tx);
  tx.locks.push(row);
  return true;
}

export function isHeld({ tx, row }: { tx: Tx; row: Lockable }): boolean {
  return tx.state === 'open' && tx.shard.locks.has(row);
}

function* sendCommit(world: World, tx: Tx): Steps {
  yield 'commits';
  if (tx.state !== 'open') throw SESSION_ENDED;
  if (world.random.oneIn(world.faults.commitUnknown)) {
    tx.state = 'committing';
    world.limbo.push(tx);
    throw COMMIT_UNKNOWN;
  }
  commit(tx);
}

export function commit(tx: Tx): void {
  for (const write of tx.writes) write();
  end(tx);
}

/** Ends without a commit: nothing is written. */
export function end(tx: Tx): void {
  for (const row of tx.locks) tx.shard.locks.delete(row);
  tx.state = 'ended';
}
