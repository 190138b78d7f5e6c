/** The course of one move under one leader: a mover drives it, and what comes of it is written under the lease. */
import type { Database } from '@millrace/postgres';
import type { Topology } from '@millrace/ring';
import type { Log } from '@millrace/runtime';
import type { ShardId } from '@millrace/write';
import { audit } from '../control/change.ts';
import { underLease } from '../control/lease.sql.ts';
import type { Term } from '../control/leadership.ts';
import type { MoveRecord } from '../control/moves.sql.ts';
import type { RingMetrics } from '../metrics.ts';
import { VerificationFailed, type DriveInput, type DriveResult, type MovePhase, type MoveProgress, type MoveWish, type Pace } from '../move/types.ts';
import { beginMove, endMove, noteProgress, turnBack } from './moves.sql.ts';
import { isOwner, makeOwner } from './owner.ts';

export interface CourseTools {
  readonly control: Database;
  readonly database: (shard: ShardId) => Database;
  readonly drive: (input: DriveInput) => Promise<DriveResult>;
  /** Tells everybody; does not wait for Kafka. */
  readonly announce: (topology: Topology) => void;
  readonly pace: Pace;
  readonly stallBudgetMs: number;
  /** Who writes, in the history and the audit log. */
  readonly instance: string;
  readonly metrics: RingMetrics;
  readonly log: Log;
}

export interface Course {
  readonly term: Term;
  readonly move: MoveRecord;
  readonly wish: () => MoveWish;
}

/** What came of it: ended, left to rest, or given up for now because the move is not to be driven any more. */
export type CourseEnd = 'ended' | 'resting' | 'turned';

/** @throws Superseded, what the mover cannot mend by itself, and weather that lasts. */
export async function runCourse(tools: CourseTools, course: Course): Promise<CourseEnd> {
  const { control, instance, metrics, log } = tools;
  const { move, term } = course;
  const { id } = move;
  if (move.state === 'planned' && !(await begin(tools, course))) return 'turned';
  try {
    const result = await tools.drive(driveInput(tools, course));
    if (result === 'paused') return 'resting';
    const ended = await underLease(control, term.token, async (tx) => {
      const first = await endMove(tx, { id, as: result });
      if (first) await audit(tx, { actor: instance, action: `move.${result}`, subject: `move ${id}` });
      return first;
    });
    if (ended) metrics.ended(result);
    log.info({ move: id, slot: move.slot, source: move.source, target: move.target, result }, 'move ended');
    return 'ended';
  } catch (error) {
    if (!(error instanceof VerificationFailed)) throw error;
    log.error({ move: id, slot: move.slot, error }, 'the copy is not equal: the move is turned back');
    metrics.failed('verification');
    await underLease(control, term.token, async (tx) => {
      if (await turnBack(tx, { id, error: error.message })) await audit(tx, { actor: instance, action: 'move.failed', subject: `move ${id}`, detail: { error: error.message } });
    });
    return 'turned';
  }
}

async function begin({ control, instance }: CourseTools, { move: { id }, term }: Course): Promise<boolean> {
  return underLease(control, term.token, async (tx) => {
    const begun = await beginMove(tx, id);
    if (begun) await audit(tx, { actor: instance, action: 'move.start', subject: `move ${id}` });
    return begun;
  });
}

function driveInput(tools: CourseTools, { move, term, wish }: Course): DriveInput {
  const { control, instance, metrics } = tools;
  const { token, signal } = term;
  const { id, slot, source, target, phase, progress } = move;
  const order = { id, slot, source, target };
  let known: Partial<MoveProgress> = progress;
  return {
    order,
    token,
    phase,
    progress,
    signal,
    database: tools.database,
    pace: tools.pace,
    stallBudgetMs: tools.stallBudgetMs,
    log: tools.log.child({ move: String(id), slot, source, target }),
    wish: () => Promise.resolve(wish()),
    isPublished: () => isOwner(control, order),
    publish: async () => tools.announce(await makeOwner({ control, token, order, instance })),
    report: async (now: MovePhase, told: Partial<MoveProgress>) => {
      await underLease(control, token, (tx) => noteProgress(tx, { id, phase: now, progress: told }));
      metrics.progressed(known, told);
      known = { ...known, ...told };
    },
  };
}
