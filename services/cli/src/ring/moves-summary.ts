/** What a set of moves came to, when it is over. Pure. */
import { count } from '../output.ts';
import type { Move } from './admin-schema.ts';
import { bytesText, millisecondsText, plural, secondsText } from './figures.ts';

export interface MovesSummary {
  readonly slots_moved: number;
  readonly slots_aborted: number;
  readonly rows: number;
  readonly bytes: number;
  /** From the first start to the last end. */
  readonly seconds: number;
  /** How long applying a slot stood still; undefined where no slot moved. */
  readonly stall_ms: { readonly p50: number; readonly p99: number; readonly max: number } | undefined;
  /** Why moves were turned back, each reason once. */
  readonly reasons: readonly string[];
}

export function summaryOf(moves: readonly Move[]): MovesSummary {
  const moved = moves.filter(({ state }) => state === 'done');
  const aborted = moves.filter(({ state }) => state === 'aborted');
  const stalls = moved.flatMap(({ progress }) => progress.stall_ms ?? []).sort((a, b) => a - b);
  return {
    slots_moved: moved.length,
    slots_aborted: aborted.length,
    rows: moved.reduce((sum, { progress }) => sum + (progress.rows ?? 0), 0),
    bytes: moved.reduce((sum, { progress }) => sum + (progress.bytes ?? 0), 0),
    seconds: secondsOf(moves),
    stall_ms: stalls.length === 0 ? undefined : { p50: quantile(stalls, 0.5), p99: quantile(stalls, 0.99), max: quantile(stalls, 1) },
    reasons: [...new Set(aborted.flatMap(({ error, progress }) => error ?? progress.reason ?? []))],
  };
}

export function summaryText({ slots_moved, slots_aborted, rows, bytes, seconds, stall_ms, reasons }: MovesSummary): string {
  const rate = seconds > 0 ? `, ${bytesText(bytes / seconds)}/s` : '';
  const lines = [`${plural(slots_moved, 'slot')} moved: ${count(rows)} rows, ${bytesText(bytes)} in ${secondsText(seconds)}${rate}`];
  if (stall_ms !== undefined) {
    const { p50, p99, max } = stall_ms;
    lines.push(`apply stall of a slot: p50 ${millisecondsText(p50)}, p99 ${millisecondsText(p99)}, max ${millisecondsText(max)}`);
  }
  if (slots_aborted > 0) lines.push(`${plural(slots_aborted, 'slot')} did not move${reasons.map((reason) => `\n  ${reason}`).join('')}`);
  return lines.join('\n');
}

function secondsOf(moves: readonly Move[]): number {
  const starts = moves.flatMap(({ started_at }) => (started_at === undefined ? [] : Date.parse(started_at)));
  const ends = moves.flatMap(({ ended_at }) => (ended_at === undefined ? [] : Date.parse(ended_at)));
  if (starts.length === 0 || ends.length === 0) return 0;
  return Math.max(0, Math.max(...ends) - Math.min(...starts)) / 1_000;
}

/** The nearest rank of a sorted list. */
function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}
