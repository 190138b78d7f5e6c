/** Which moves are driven next. Pure. */
import type { MoveRecord } from '../control/moves.sql.ts';
import type { MoveWish } from '../move/types.ts';

export interface PickInput {
  /** Oldest first. */
  readonly open: readonly MoveRecord[];
  readonly driven: ReadonlySet<bigint>;
  /** Those that a mover of this term has left as they may rest. */
  readonly resting: ReadonlySet<bigint>;
  /** Those that wait after a failure. */
  readonly waiting: ReadonlySet<bigint>;
  readonly movesPerPair: number;
  readonly movesMax: number;
}

export function wishOf({ state, paused }: Pick<MoveRecord, 'state' | 'paused'>): MoveWish {
  if (state === 'aborting') return 'abort';
  return paused ? 'pause' : 'forward';
}

/** Those to be undone first, then those that have begun, then new ones; as many as the limits allow beside those driven. */
export function pickMoves({ open, driven, resting, waiting, movesPerPair, movesMax }: PickInput): readonly MoveRecord[] {
  const pairs = new Map<string, number>();
  let all = 0;
  const take = (move: MoveRecord): void => {
    pairs.set(pairOf(move), (pairs.get(pairOf(move)) ?? 0) + 1);
    all += 1;
  };
  open.filter(({ id }) => driven.has(id)).forEach(take);
  const ready = open.filter((move) => !driven.has(move.id) && !waiting.has(move.id) && mayBegin(move, resting));
  const picked: MoveRecord[] = [];
  for (const move of ready.toSorted((a, b) => rank(a) - rank(b))) {
    if (all >= movesMax) break;
    if ((pairs.get(pairOf(move)) ?? 0) >= movesPerPair) continue;
    take(move);
    picked.push(move);
  }
  return picked;
}

/** A paused move that another leader has begun is looked at once: it may stand past its fence, and must not rest there. */
function mayBegin(move: MoveRecord, resting: ReadonlySet<bigint>): boolean {
  if (wishOf(move) !== 'pause') return true;
  return move.state === 'running' && !resting.has(move.id);
}

function rank({ state }: MoveRecord): number {
  return state === 'aborting' ? 0 : state === 'running' ? 1 : 2;
}

function pairOf({ source, target }: MoveRecord): string {
  return `${source} ${target}`;
}
