/** When the fence comes, and when it must wait for another round. Pure. */
import { FENCE_SHARE, HOLD_LEVEL_MAX, SHRINK_SHARE } from './limits.ts';

export interface RoundTime {
  readonly records: number;
  readonly ms: number;
}

/**
 * `fence`: the last round was so quick that what was written during it fits the stall budget. `again`: rounds shrink.
 * `slower`: they do not, so the slot must be written more slowly first.
 */
export type Decision = 'fence' | 'again' | 'slower';

export function decide(rounds: readonly RoundTime[], { stallBudgetMs, level }: { readonly stallBudgetMs: number; readonly level: number }): Decision {
  const last = rounds.at(-1);
  const previous = rounds.at(-2);
  if (!last) return 'again';
  if (last.ms <= stallBudgetMs * FENCE_SHARE) return 'fence';
  if (!previous || last.ms < previous.ms * SHRINK_SHARE) return 'again';
  // Nothing is gained by waiting longer: the slot moves, and the stall is told.
  return level >= HOLD_LEVEL_MAX ? 'fence' : 'slower';
}

/** How many times the last round took what the one before took. */
export function growthOf(rounds: readonly RoundTime[]): number {
  const [previous, last] = rounds.slice(-2);
  return previous && last ? last.ms / Math.max(previous.ms, 1) : 1;
}

/** How long the last delta would take, if records cost what they cost in the last rounds. */
export function expectedMs(rounds: readonly RoundTime[], records: number): number {
  const told = rounds.filter((round) => round.records > 0).slice(-3);
  const quickestMs = Math.min(...told.map(({ ms }) => ms));
  const perRecordMs = Math.min(...told.map((round) => round.ms / round.records));
  if (told.length === 0) return 0;
  // A round has a fixed part, which small ones show, and a part by record, which large ones show.
  return Math.max(quickestMs, records * perRecordMs);
}
