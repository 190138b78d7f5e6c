/** Plans and moves as the admin API answers them, for tests. */
import type { Move, Plan } from '../admin-schema.ts';

const START = Date.parse('2026-01-01T00:00:00Z');

/** So many seconds after the start of the plan. */
export function at(seconds: number): string {
  return new Date(START + seconds * 1_000).toISOString();
}

export function planOf(facts: Partial<Plan> = {}): Plan {
  const { moves = [] } = facts;
  const sum = (what: 'rows' | 'bytes'): number => moves.reduce((total, move) => total + move[what], 0);
  return {
    id: '3',
    state: 'running',
    by: 'slots',
    base_epoch: 7,
    reverse_of: undefined,
    changes: [],
    moves,
    load: [
      { shard: 'a', weight: 1, before: 32, after: 22 },
      { shard: 'c', weight: 1, before: 0, after: 10 },
    ],
    balance: 1.031,
    bound: 1.031,
    note: undefined,
    estimate: { seconds: 12, stall_ms: 60, rows: sum('rows'), bytes: sum('bytes') },
    progress: { moves: moves.length, done: 0, aborted: 0, rows: 0, bytes: 0 },
    created_at: at(0),
    started_at: at(0),
    ended_at: undefined,
    ...facts,
  };
}

export function moveOf(slot: number, facts: Omit<Partial<Move>, 'progress'> & { readonly progress?: Partial<Move['progress']> } = {}): Move {
  return {
    id: String(100 + slot),
    plan: '3',
    slot,
    source: 'a',
    target: 'c',
    state: 'running',
    phase: 'copying',
    paused: false,
    error: undefined,
    created_at: at(0),
    started_at: at(0),
    ended_at: undefined,
    ...facts,
    progress: { rows: 0, bytes: 0, rounds: 0, stall_ms: undefined, bytes_per_second: undefined, reason: undefined, ...facts.progress },
  };
}

/** A move that is over. */
export function movedOf(slot: number, { stallMs, endSeconds = 1, rows = 100, bytes = 1_000 }: { readonly stallMs: number; readonly endSeconds?: number; readonly rows?: number; readonly bytes?: number }): Move {
  return moveOf(slot, { state: 'done', phase: 'done', ended_at: at(endSeconds), progress: { rows, bytes, rounds: 2, stall_ms: stallMs } });
}
