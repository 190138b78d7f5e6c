/**
 * The brake: where rounds do not shrink because the slot is written faster than it can be brought over, its turns are
 * held for moments, longer and longer ones. Acks do not wait: records stay in Kafka meanwhile.
 *
 * A hold ends by itself, on the server's clock: a mover that dies leaves the slot held for a second at most.
 */
import { sleep } from '@millrace/runtime';
import { HOLD_GAP_MS_MIN, HOLD_LEVEL_MAX, HOLD_MS_MAX, HOLD_SHARE } from './limits.ts';
import { OutOfStep, type Mover } from './mover.ts';
import { holdSlot } from './side.sql.ts';

export interface Brake {
  level(): number;
  /** Holds more: so much that a round which took `growth` times the one before would take half of it. */
  harder(growth?: number): void;
  /** @throws what made it fail */
  check(): void;
  release(): Promise<void>;
}

/** How long the slot is held and how long it then runs, by level from 1 on. */
export function dutyOf(level: number, stallBudgetMs: number): { readonly holdMs: number; readonly gapMs: number } {
  const shortMs = Math.min(HOLD_MS_MAX, Math.max(1, Math.round(stallBudgetMs * HOLD_SHARE)));
  const gapMs = Math.max(HOLD_GAP_MS_MIN, Math.round(shortMs / (2 ** level - 1)));
  // The last levels hold for longer than a stall may last: a slot that cannot move otherwise still moves.
  const doublings = Math.max(0, level - (HOLD_LEVEL_MAX - 3));
  return { holdMs: Math.min(HOLD_MS_MAX, shortMs * 2 ** doublings), gapMs };
}

/** The part of the time in which the slot runs. */
export function shareOf(level: number, stallBudgetMs: number): number {
  if (level === 0) return 1;
  const { holdMs, gapMs } = dutyOf(level, stallBudgetMs);
  return gapMs / (holdMs + gapMs);
}

export function createBrake(mover: Mover): Brake {
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, mover.signal]);
  let level = 0;
  let failure: Error | undefined;
  let holding: Promise<void> | undefined;

  async function hold(): Promise<void> {
    while (!signal.aborted) {
      const { holdMs, gapMs } = dutyOf(level, mover.stallBudgetMs);
      const rows = await mover.source.query(holdSlot({ slot: mover.order.slot, move: mover.order.id, token: mover.token, holdMs }));
      if (rows.length === 0 && !signal.aborted) throw new OutOfStep("the slot to be held is not this mover's any more");
      await sleep(holdMs + gapMs, signal).catch(() => undefined);
    }
  }

  return {
    level: () => level,
    harder(growth = 1) {
      const wanted = shareOf(level, mover.stallBudgetMs) / (2 * Math.max(growth, 1));
      do level = Math.min(HOLD_LEVEL_MAX, level + 1);
      while (level < HOLD_LEVEL_MAX && shareOf(level, mover.stallBudgetMs) > wanted);
      const { order, log, stallBudgetMs } = mover;
      log.info({ slot: order.slot, brake: level, ...dutyOf(level, stallBudgetMs) }, 'the slot is written faster than it moves: its turns are held for moments');
      holding ??= hold().catch((error: unknown) => void (failure = error instanceof Error ? error : new Error(String(error))));
    },
    check() {
      if (failure !== undefined) throw failure;
    },
    async release() {
      stop.abort();
      await holding;
    },
  };
}
