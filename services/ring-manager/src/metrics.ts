/** What the ring tells: who leads, how far the topology is, what moves and how long it stalls. */
import { Counter, Gauge, Histogram, type Registry } from '@millrace/runtime';
import type { MoveRecord } from './control/moves.sql.ts';
import type { MoveProgress } from './move/types.ts';

export interface RingMetrics {
  open(moves: readonly Pick<MoveRecord, 'phase'>[]): void;
  progressed(before: Partial<MoveProgress>, now: Partial<MoveProgress>): void;
  ended(as: 'done' | 'aborted'): void;
  /** `verification`: both sides differed. `stuck`: anything that the mover could not mend by itself. */
  failed(reason: 'verification' | 'stuck'): void;
  /** Nothing moves here any more. */
  idle(): void;
}

export interface RingLevels {
  /** Of the term under way. */
  readonly token: () => bigint | undefined;
  readonly epoch: () => number;
}

/** Around the budget of 250 ms. */
const STALL_BUCKETS_SECONDS = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.5, 1, 2.5, 10, 60];

export function createRingMetrics(registry: Registry): RingMetrics {
  const open = new Gauge({
    name: 'millrace_ring_moves_open',
    help: 'Open moves by phase, as the leader sees them.',
    labelNames: ['phase'],
    registers: [registry],
  });
  const moves = new Counter({
    name: 'millrace_ring_moves_total',
    help: 'Moves that this process has ended, by outcome.',
    labelNames: ['outcome'],
    registers: [registry],
  });
  const rows = new Counter({
    name: 'millrace_ring_moved_rows_total',
    help: 'Rows copied from shard to shard, those copied again in rounds included.',
    registers: [registry],
  });
  const bytes = new Counter({
    name: 'millrace_ring_moved_bytes_total',
    help: 'Bytes copied from shard to shard, in the text format of COPY.',
    registers: [registry],
  });
  const stall = new Histogram({
    name: 'millrace_ring_stall_seconds',
    help: 'How long a moved slot was not applied: from the fence on the source to the activation on the target.',
    buckets: STALL_BUCKETS_SECONDS,
    registers: [registry],
  });
  const failures = new Counter({
    name: 'millrace_ring_move_failures_total',
    help: 'Moves turned back because both sides differed (verification), and attempts that the mover gave up (stuck).',
    labelNames: ['reason'],
    registers: [registry],
  });
  // From 0 on, so that the first one is seen as a rise.
  for (const reason of ['verification', 'stuck'] as const) failures.inc({ reason }, 0);
  return {
    open(list) {
      open.reset();
      for (const [phase, those] of Map.groupBy(list, ({ phase }) => phase)) open.set({ phase }, those.length);
    },
    progressed(before, now) {
      rows.inc(Math.max(0, (now.rows ?? 0) - (before.rows ?? 0)));
      bytes.inc(Math.max(0, (now.bytes ?? 0) - (before.bytes ?? 0)));
      if (now.stallMs !== undefined && before.stallMs === undefined) stall.observe(now.stallMs / 1000);
    },
    ended: (outcome) => moves.inc({ outcome }),
    failed: (reason) => failures.inc({ reason }),
    idle: () => open.reset(),
  };
}

/** Gauges that are read when someone scrapes. */
export function observeRing(registry: Registry, { token, epoch }: RingLevels): void {
  new Gauge({
    name: 'millrace_ring_leader',
    help: '1 in the ring-manager that leads.',
    registers: [registry],
    collect() {
      this.set(token() === undefined ? 0 : 1);
    },
  });
  new Gauge({
    name: 'millrace_ring_token',
    help: 'Fencing token of the term that this process leads; 0 where it does not.',
    registers: [registry],
    collect() {
      this.set(Number(token() ?? 0n));
    },
  });
  new Gauge({
    name: 'millrace_ring_epoch',
    help: 'Epoch of the newest topology that this process knows.',
    registers: [registry],
    collect() {
      this.set(epoch());
    },
  });
}
