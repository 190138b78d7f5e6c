/** A batch of deletes: a purge, or the clearing of a rejected target. */
import { createActor, Failure, type Steps } from './actor.ts';
import { guarded, type Drive, type Guard } from './guard.ts';
import type { Shard } from './shard.ts';

/**
 * The one kind of transaction that may be sent whole, its COMMIT before the guard has answered. So it can stray: its
 * connection breaks, the mover sends the batch again, and the first one is carried out whenever the server comes to it.
 */
export function* purgeBatch(drive: Drive, shard: Shard, guard: Guard, write: () => void): Steps {
  const { world } = drive;
  const batch = (work: Drive): Steps => (world.rules.purgeChecked ? guarded(work, shard, guard, (tx) => tx.writes.push(write)) : unguarded(write));
  if (world.random.oneIn(world.faults.batchStrays)) {
    world.happens('a batch of deletes strays');
    world.strays.push(createActor(`a stray batch of ${drive.self.name}`, (self) => stray(batch({ ...drive, self }))));
  }
  yield* batch(drive);
}

/** Nobody hears what becomes of it. */
function* stray(batch: Steps): Steps {
  try {
    yield* batch;
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
  }
}

function* unguarded(write: () => void): Steps {
  yield 'purges, whatever the slot row says';
  write();
}
