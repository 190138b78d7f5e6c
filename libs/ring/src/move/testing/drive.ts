/** A mover: claim, then look and do the next step, until the move has ended. What it knows, it reads from the rows. */
import { nextStep, type MoveStep, type MoveView } from '../step.ts';
import type { Steps } from './actor.ts';
import { claim } from './claim.ts';
import { isOpen, publish, underLease, type Move } from './control.ts';
import { copy } from './copy.ts';
import type { Drive } from './guard.ts';
import { clearNotes, hasLeftovers, open, purge, reactivate } from './source.ts';
import { clearRows, finish, prepare, reject } from './target.ts';

/** @throws SUPERSEDED, VERIFICATION_FAILED, and where the rows have to be read again: CHANGED, SESSION_ENDED, COMMIT_UNKNOWN */
export function* drive(work: Drive): Steps {
  let looks = 0;
  if (!work.claimed || work.world.rules.claimsAgain) yield* claim(work);
  work.claimed = true;
  while (isOpen(work.move)) {
    const view = yield* look(work);
    const step = work.world.rules.rejectBeforeReturn ? nextStep(view) : returnBeforeReject(view);
    if (step.kind === 'stuck') {
      // A mover that is superseded between two looks sees what never was. Under a fresh claim nobody else writes.
      if (looks++ > 0) work.world.violates(`stuck: ${step.reason}`);
      yield* claim(work);
      continue;
    }
    looks = 0;
    work.world.happens(`step ${step.kind}`);
    if (view.goal === 'abort' && step.kind === 'publish') work.world.happens('an abort comes too late');
    yield* perform(work, step.kind);
  }
}

/** One row after the other: together they are a view only because nobody else may change them. */
function* look({ world, move }: Drive): Steps<MoveView> {
  const { id, source, target } = move;
  const goal = move.state === 'aborting' ? 'abort' : 'forward';
  yield 'reads the slot row of the source';
  const sourceSide = source.slot;
  yield 'reads the slot row of the target';
  const targetSide = target.slot;
  const published = world.control.owner === target;
  const leftovers = hasLeftovers(move, targetSide?.state === 'ABORTED' ? 'rejection' : 'activation');
  return { move: id, goal, source: source.id, target: target.id, sourceSide, targetSide, published, leftovers };
}

/** The broken order of an abort: whether it is too late is asked when the source has returned. */
function returnBeforeReject(view: MoveView): MoveStep {
  const returns = view.goal === 'abort' && view.sourceSide?.move === view.move;
  return returns ? { kind: 'reactivate' } : nextStep(view);
}

function* perform(work: Drive, kind: Exclude<MoveStep['kind'], 'stuck'>): Steps {
  switch (kind) {
    case 'prepare':
      return yield* prepare(work);
    case 'open':
      return yield* open(work);
    case 'copy':
      return yield* copy(work);
    case 'finish':
      return yield* finish(work);
    case 'publish':
      return yield* publishTarget(work);
    case 'purge':
      return yield* purge(work);
    case 'reject':
      return yield* reject(work);
    case 'reactivate':
      return yield* reactivate(work);
    case 'clear':
      yield* clearRows(work);
      return yield* clearNotes(work);
    case 'done':
    case 'aborted':
      return yield* endMove(work, kind);
  }
}

function* publishTarget({ world, move, token }: Drive): Steps {
  yield 'reads the epoch of the topology';
  const { epoch } = world.control;
  yield 'publishes the next epoch';
  publish(world, { epoch, owner: move.target, token });
}

function* endMove({ world, move, token }: Drive, state: Extract<Move['state'], 'done' | 'aborted'>): Steps {
  yield `ends the move as ${state}`;
  underLease(world, token);
  if (!isOpen(move)) return;
  move.state = state;
  world.ended(move);
}
