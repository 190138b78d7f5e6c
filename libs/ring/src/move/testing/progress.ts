/** The progress of a copy, from one transaction on the target to the next. */
import type { Steps } from './actor.ts';
import { guarded, INCOMING, type Drive } from './guard.ts';
import type { Progress } from './shard.ts';
import type { Tx } from './transaction.ts';

/** One step of the copy: rows and the progress that they make, in one transaction. Gives the new progress. */
export function* advance(drive: Drive, progress: Progress, change: Partial<Progress>, write: (tx: Tx) => void): Steps<Progress> {
  const { target } = drive.move;
  const next = { ...progress, ...change };
  const together = drive.world.rules.progressWithRows;
  const keep = (tx: Tx): void => void tx.writes.push(() => (target.incoming = next));
  if (!together) yield* guarded(drive, target, INCOMING, keep);
  yield* guarded(drive, target, INCOMING, (tx) => {
    write(tx);
    if (together) keep(tx);
  });
  return next;
}
