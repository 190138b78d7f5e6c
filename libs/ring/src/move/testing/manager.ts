/** A ring-manager: takes the lease, then drives whatever move is open. It learns from the rows that it leads no more. */
import { Failure, IDLE, SUPERSEDED, VERIFICATION_FAILED, type Actor, type Steps } from './actor.ts';
import { openMove, takeLease, type Move } from './control.ts';
import { drive } from './drive.ts';
import type { Drive } from './guard.ts';
import type { World } from './world.ts';

export const TAKES_LEASE = 'takes the lease';

export function* manager(world: World, self: Actor, holder: string): Steps {
  yield TAKES_LEASE;
  const token = takeLease(world, { leader: self, holder });
  let work: Drive | undefined;
  for (;;) {
    yield IDLE;
    const move = openMove(world.control);
    if (!move) continue;
    if (work?.move !== move) work = { world, self, move, token, claimed: false };
    try {
      yield* drive(work);
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      world.happens(error.message);
      if (error === SUPERSEDED) return;
      if (error === VERIFICATION_FAILED) yield* giveUp(world, move, token);
    }
  }
}

/** What could not be copied whole stays where it is. */
function* giveUp(world: World, move: Move, token: number): Steps {
  if (world.faults.rowLost === 0) world.violates('both sides differ, though no row was lost on its way');
  yield 'gives the move up';
  if (world.control.token === token && move.state === 'running') move.state = 'aborting';
}
