/**
 * An actor: a process of the cluster, as a generator that stops before each of its statements.
 *
 * What stands between two stops happens at once; anything may happen at a stop: others go on, the process dies, or
 * sleeps for as long as it takes for everybody else to forget it.
 */
import type { Lockable, Tx } from './transaction.ts';

/** A stop: what the actor does when it goes on, in words; or the lock that it waits for. */
export type Stop = string | { readonly tx: Tx; readonly row: Lockable };
export type Steps<R = void> = Generator<Stop, R, undefined>;

/** Stops of an actor that has nothing to do, and of one that has done nothing yet. */
export const IDLE = 'looks for work';
export const STARTS = 'starts';

export interface Actor {
  readonly name: string;
  /** Undefined once it has ended. */
  steps: Steps | undefined;
  at: Stop;
  asleep: boolean;
  /** The transaction that it has open. */
  tx: Tx | undefined;
  /** A new life, that remembers nothing. */
  start(): void;
}

export function createActor(name: string, live: (self: Actor) => Steps): Actor {
  const actor: Actor = {
    name,
    steps: undefined,
    at: STARTS,
    asleep: false,
    tx: undefined,
    start() {
      actor.steps = live(actor);
      actor.at = STARTS;
      actor.tx = undefined;
    },
  };
  actor.start();
  return actor;
}

/** Why a statement of an actor fails. Each is thrown as the one object that it is: to build an error is slow. */
export class Failure extends Error {}
/** Another mover has a larger token: this one must not write again (R5). */
export const SUPERSEDED = new Failure('superseded');
/** The rows are not as the mover saw them: it reads them again. */
export const CHANGED = new Failure('the rows have changed');
/** Somebody who waited for its locks ended the session, or the server did. */
export const SESSION_ENDED = new Failure('the session is ended');
/** COMMIT was sent, no answer came. */
export const COMMIT_UNKNOWN = new Failure('the commit is unknown');
/** Both sides differ where they must be equal. */
export const VERIFICATION_FAILED = new Failure('both sides differ');
