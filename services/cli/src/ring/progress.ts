/** How far a plan is, and the line that says so. Pure. */
import { count } from '../output.ts';
import { isOver, type Move, type Plan } from './admin-schema.ts';
import { bytesText, millisecondsText, secondsText } from './figures.ts';

export interface Progress {
  readonly state: Plan['state'];
  readonly slots: number;
  readonly slotsDone: number;
  /** 0 to 1, moves under way counted by their rows. */
  readonly share: number;
  readonly rows: number;
  readonly bytes: number;
  readonly bytesPerSecond: number;
  /** Of the slot that moved last; undefined before the first. */
  readonly stallMs: number | undefined;
  /** Undefined while nothing can be said. */
  readonly etaSeconds: number | undefined;
  /** What keeps a move waiting, the first one. */
  readonly error: string | undefined;
}

export interface Look {
  readonly atMs: number;
  readonly plan: Plan;
  readonly moves: readonly Move[];
}

interface Mark {
  readonly atMs: number;
  readonly bytes: number;
  readonly share: number;
}

/** The rate is that of the last seconds. */
const RATE_WINDOW_MS = 5_000;
/** A copy that has all the rows that were estimated is not over yet. */
const SHARE_UNDER_WAY_MAX = 0.95;
const BAR_WIDTH = 24;

/** Takes one look after the other; the rates are those between them. */
export function createMeter(): (look: Look) => Progress {
  let marks: readonly Mark[] = [];
  let first: Mark | undefined;
  return ({ atMs, plan, moves }) => {
    const mark = { atMs, bytes: sumOf(moves, 'bytes'), share: shareOf(plan, moves) };
    first ??= mark;
    marks = [...marks.filter((one) => atMs - one.atMs <= RATE_WINDOW_MS), mark];
    return {
      state: plan.state,
      slots: moves.length,
      slotsDone: moves.filter(({ state }) => state === 'done').length,
      share: mark.share,
      rows: sumOf(moves, 'rows'),
      bytes: mark.bytes,
      bytesPerSecond: rateOf(marks),
      stallMs: lastStallMs(moves),
      etaSeconds: plan.state === 'running' ? etaOf(first, mark, plan) : undefined,
      error: moves.map((move) => (isOver(move) ? undefined : move.error)).find((error) => error !== undefined),
    };
  };
}

/** One line; with a bar on a terminal. */
export function progressLine(progress: Progress, { bar }: { readonly bar: boolean }): string {
  const { state, slots, slotsDone, share, rows, bytes, bytesPerSecond, stallMs, etaSeconds, error } = progress;
  const parts = [
    `${bar ? `${barOf(share)} ` : ''}${Math.floor(share * 100)} %`,
    `${slotsDone}/${slots} slots`,
    `${count(rows)} rows`,
    `${bytesText(bytes)}, ${bytesText(bytesPerSecond)}/s`,
    stallMs === undefined ? 'stall -' : `stall ${millisecondsText(stallMs)}`,
    state === 'running' ? `ETA ${etaSeconds === undefined ? '-' : secondsText(etaSeconds)}` : state,
  ];
  return parts.join('  ') + (error === undefined ? '' : `  (${error})`);
}

function barOf(share: number): string {
  const full = Math.floor(share * BAR_WIDTH);
  return `[${'#'.repeat(full)}${'-'.repeat(BAR_WIDTH - full)}]`;
}

function shareOf(plan: Plan, moves: readonly Move[]): number {
  if (moves.length === 0) return isOver(plan) ? 1 : 0;
  const estimated = new Map(plan.moves.map(({ slot, rows }) => [slot, rows]));
  const each = moves.map((move) => {
    if (isOver(move)) return 1;
    const rows = move.progress.rows ?? 0;
    return Math.min(SHARE_UNDER_WAY_MAX, rows / Math.max(1, estimated.get(move.slot) ?? 0, rows));
  });
  return each.reduce((sum, one) => sum + one, 0) / moves.length;
}

function rateOf(marks: readonly Mark[]): number {
  const [from, to] = [marks[0], marks.at(-1)];
  if (from === undefined || to === undefined || to.atMs === from.atMs) return 0;
  return Math.max(0, ((to.bytes - from.bytes) * 1_000) / (to.atMs - from.atMs));
}

/** At the pace since the first look; before anything has moved, as the plan estimates. */
function etaOf(first: Mark, now: Mark, plan: Plan): number | undefined {
  const gained = now.share - first.share;
  if (gained <= 0) return now.share === 0 ? plan.estimate.seconds : undefined;
  return ((1 - now.share) * (now.atMs - first.atMs)) / gained / 1_000;
}

function lastStallMs(moves: readonly Move[]): number | undefined {
  const stalled = moves.filter((move) => move.progress.stall_ms !== undefined);
  const endOf = (move: Move): string => move.ended_at ?? '~'; // activated and not ended yet: the latest
  return stalled.toSorted((a, b) => (endOf(a) < endOf(b) ? -1 : 1)).at(-1)?.progress.stall_ms;
}

function sumOf(moves: readonly Move[], what: 'rows' | 'bytes'): number {
  return moves.reduce((sum, { progress }) => sum + (progress[what] ?? 0), 0);
}
