/** How large the next piece of a move is: as many rows as take about the time that is wanted. Pure. */

export interface PieceBounds {
  readonly min: number;
  readonly max: number;
}

/** A guess from one piece is trusted so far: the rows of the next may cost more. */
const GROWTH_MAX = 4;

/** Rows of the piece behind one of `rows` that took `tookMs`. */
export function nextPiece(rows: number, { tookMs, wantedMs }: { readonly tookMs: number; readonly wantedMs: number }, { min, max }: PieceBounds): number {
  const wanted = (rows * wantedMs) / Math.max(tookMs, 1);
  return Math.round(Math.min(max, Math.max(min, Math.min(wanted, rows * GROWTH_MAX))));
}
