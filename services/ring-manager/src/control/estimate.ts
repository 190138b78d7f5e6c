/** How long the moves of a plan are likely to take. Pure. */
import type { PlanContent, PlannedMove } from './plans.sql.ts';
import type { PastMoves } from './statistics.sql.ts';

/** Before any move has ended: what one move copies in a second, and how long its slot stands still. */
export const BYTES_PER_SECOND_DEFAULT = 10_000_000;
export const STALL_MS_DEFAULT = 100;
/** What a move costs however little it copies: its steps, and the polls between them. */
export const MOVE_SECONDS_MIN = 1;

export interface EstimateInput {
  readonly moves: readonly PlannedMove[];
  readonly past: PastMoves;
  readonly movesPerPair: number;
  readonly movesMax: number;
  /** Of all moves together. */
  readonly bytesPerSecondMax: number;
}

export function estimate({ moves, past, movesPerPair, movesMax, bytesPerSecondMax }: EstimateInput): PlanContent['estimate'] {
  const rows = moves.reduce((sum, move) => sum + move.rows, 0);
  const bytes = moves.reduce((sum, move) => sum + move.bytes, 0);
  const pairs = Map.groupBy(moves, ({ source, target }) => `${source} ${target}`);
  const lanes = [...pairs.values()].reduce((sum, pair) => sum + Math.min(pair.length, movesPerPair), 0);
  const atOnce = Math.max(1, Math.min(lanes, movesMax));
  const each = past.bytesPerSecond ?? BYTES_PER_SECOND_DEFAULT;
  const copying = bytes / Math.min(each * atOnce, bytesPerSecondMax);
  const seconds = Math.ceil(copying + (moves.length * MOVE_SECONDS_MIN) / atOnce);
  return { seconds, stall_ms: Math.round(past.stallMs ?? STALL_MS_DEFAULT), rows, bytes };
}
