/**
 * A pool of which parts are kept for sagas, over any row that has one: an account's money, a stock item's units.
 *
 * A hold `out` takes from what is available and keeps it; a hold `in` keeps room for what will come. A confirmation or a
 * release of what is held always succeeds, and those of different sagas commute (escrow: O'Neil, "The Escrow
 * Transactional Method", ACM TODS 11(4), 1986).
 */
import { assert, MINOR_UNITS_MAX } from '@millrace/write';
import type { Direction } from '../saga/messages.ts';

export interface Pool {
  readonly available: bigint;
  /** Held `out`. */
  readonly kept: bigint;
  /** Room held `in`. */
  readonly incoming: bigint;
}

export interface Terms {
  readonly direction: Direction;
  readonly units: bigint;
}

/** The pool with the terms held; undefined where too little is available, or no room is left. */
export function heldIn(pool: Pool, { direction, units }: Terms): Pool | undefined {
  if (direction === 'out') return units > pool.available ? undefined : { ...pool, available: pool.available - units, kept: pool.kept + units };
  const full = pool.available + pool.kept + pool.incoming + units > MINOR_UNITS_MAX;
  return full ? undefined : { ...pool, incoming: pool.incoming + units };
}

/** The pool with what was held made final: gone where it goes out, available where it comes in. */
export function confirmedIn(pool: Pool, { direction, units }: Terms): Pool {
  assert(units <= (direction === 'out' ? pool.kept : pool.incoming), 'S4: no more is confirmed than is held');
  if (direction === 'out') return { ...pool, kept: pool.kept - units };
  return { ...pool, incoming: pool.incoming - units, available: pool.available + units };
}

/** The pool as it was before the terms were held. */
export function releasedIn(pool: Pool, { direction, units }: Terms): Pool {
  assert(units <= (direction === 'out' ? pool.kept : pool.incoming), 'S4: no more is released than is held');
  if (direction === 'out') return { ...pool, kept: pool.kept - units, available: pool.available + units };
  return { ...pool, incoming: pool.incoming - units };
}
