/**
 * The claim: a leader writes its token into the slot row of the target, then of the source, before it looks at them.
 * Both then refuse every mover before it; a transaction of theirs that is under way holds the row lock, and is over
 * when the claim has it. (The other order serves as well: what counts is that both are claimed before the look.)
 */
import { SUPERSEDED, type Steps } from './actor.ts';
import { ABSENT, type Drive } from './guard.ts';
import type { Shard } from './shard.ts';
import { lock, transaction } from './transaction.ts';

export function* claim(drive: Drive): Steps {
  const { source, target } = drive.move;
  const { claimsTarget, claimsSource } = drive.world.rules;
  if (claimsTarget) yield* claimOn(drive, target);
  if (claimsSource) yield* claimOn(drive, source);
}

/** @throws SUPERSEDED where the row has a larger token */
function* claimOn({ world, self, move, token }: Drive, shard: Shard): Steps {
  yield* transaction(world, self, shard, function* (tx) {
    yield* lock(tx, 'slot');
    const row = shard.slot;
    if (row && row.token > token) throw SUPERSEDED;
    if (row?.token === token) return;
    if (!world.rules.claimsUntouchedTarget && shard === move.target && row?.move !== move.id) return;
    tx.writes.push(() => (shard.slot = { ...(row ?? ABSENT), token }));
  });
}
