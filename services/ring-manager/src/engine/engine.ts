/**
 * The leader's engine: for one term it drives every open move, ends plans and welcomes members.
 *
 * It keeps nothing that the rows do not tell: what a leader leaves, the next one takes up. It runs until its term is
 * over, and ends the term itself where any of its writes finds another token (R5).
 */
import { PgError } from '@millrace/postgres';
import type { Topology } from '@millrace/ring';
import { backoffMs, sleep } from '@millrace/runtime';
import { readTopology } from '@millrace/topology';
import { audit } from '../control/change.ts';
import { underLease } from '../control/lease.sql.ts';
import type { Term } from '../control/leadership.ts';
import { activateMembers } from '../control/members.sql.ts';
import { openMoves, type MoveRecord } from '../control/moves.sql.ts';
import { endPlans } from '../control/plans.sql.ts';
import { ENGINE_POLL_MS, MOVE_RETRY, TIE_UP_MS } from '../limits.ts';
import { Superseded } from '../move/types.ts';
import { isWeather } from '../move/weather.ts';
import { runCourse, type CourseTools } from './course.ts';
import { hasLooseEnds, newestEpoch, noteError } from './moves.sql.ts';
import { pickMoves, wishOf } from './pick.ts';

export interface EngineInput extends CourseTools {
  readonly movesPerPair: number;
  readonly movesMax: number;
}

/** Resolves when the term is over and no mover is at work any more. @throws Superseded */
export async function runEngine(input: EngineInput, term: Term): Promise<void> {
  const halt = new AbortController();
  const signal = AbortSignal.any([term.signal, halt.signal]);
  const engine = createEngine(input, { token: term.token, signal }, (error) => halt.abort(error));
  try {
    while (!signal.aborted) {
      try {
        await engine.tick();
      } catch (error) {
        if (!(error instanceof PgError) || error.kind === 'bug' || error.kind === 'data') throw error;
        input.log.warn({ reason: error.message }, 'the control database does not answer; moves go on as they are');
      }
      await Promise.race([sleep(ENGINE_POLL_MS, signal).catch(() => undefined), engine.placeIsFree()]);
    }
    if (halt.signal.aborted) throw halt.signal.reason;
  } finally {
    halt.abort(new Superseded('the engine stops'));
    await engine.settled();
  }
}

interface Engine {
  tick(): Promise<void>;
  /** Resolves when a move has ended since the last tick began. */
  placeIsFree(): Promise<void>;
  /** Resolves when every mover has stopped. */
  settled(): Promise<void>;
}

function createEngine(input: EngineInput, term: Term, halt: (error: Superseded) => void): Engine {
  const { control, metrics, log, instance, movesPerPair, movesMax } = input;
  const driven = new Map<bigint, Promise<void>>();
  const resting = new Set<bigint>();
  const failures = new Map<bigint, { readonly attempts: number; readonly untilMs: number }>();
  let latest = new Map<bigint, MoveRecord>();
  let announced = 0;
  let tieUpAtMs = 0;
  let left = Promise.withResolvers<void>();

  function announce(topology: Topology): void {
    announced = Math.max(announced, topology.epoch);
    input.announce(topology);
  }

  /** The first of a term is for whoever missed it, and for a topic that was lost; later ones have a commit whose answer was. */
  async function announceNewer(): Promise<void> {
    if ((await newestEpoch(control)) <= announced) return;
    const newest = await readTopology(control);
    if (newest === undefined) return;
    announce(newest);
    log.info({ epoch: newest.epoch, instance }, 'the leader republishes the topology');
  }

  async function tick(): Promise<void> {
    left = Promise.withResolvers();
    await announceNewer();
    // Read before the rows: a move that ends in between must not be taken up again from an old row.
    const busy = new Set(driven.keys());
    const open = await openMoves(control);
    latest = new Map(open.map((move) => [move.id, move]));
    metrics.open(open);
    for (const id of resting) if (wish(id) !== 'pause') resting.delete(id);
    for (const id of failures.keys()) if (!latest.has(id)) failures.delete(id);
    const waiting = new Set([...failures].filter(([, { untilMs }]) => untilMs > performance.now()).map(([id]) => id));
    for (const move of pickMoves({ open, driven: busy, resting, waiting, movesPerPair, movesMax })) {
      driven.set(move.id, drive(move).then((ended) => leave(move.id, ended)));
    }
    await tieUp();
  }

  /** What did not end is looked at again at the pace of the polls. */
  function leave(id: bigint, ended: boolean): void {
    driven.delete(id);
    if (ended) left.resolve();
  }

  function wish(id: bigint) {
    const move = latest.get(id);
    return move === undefined ? 'pause' : wishOf(move);
  }

  /** Whether the move has ended. */
  async function drive(move: MoveRecord): Promise<boolean> {
    const { id } = move;
    try {
      if (failures.has(id)) await underLease(control, term.token, (tx) => noteError(tx, { id, error: null }));
      const end = await runCourse({ ...input, announce }, { term, move, wish: () => wish(id) });
      failures.delete(id);
      tieUpAtMs = 0;
      if (end === 'resting') resting.add(id);
      return end === 'ended';
    } catch (error) {
      await failed(move, error);
      return false;
    }
  }

  /** Looked at later, so that others have the place meanwhile. What trying again may mend, the mover has told; the rest is told here. */
  async function failed({ id, slot }: MoveRecord, error: unknown): Promise<void> {
    if (term.signal.aborted) return;
    if (error instanceof Superseded) return halt(error);
    const attempts = (failures.get(id)?.attempts ?? 0) + 1;
    failures.set(id, { attempts, untilMs: performance.now() + MOVE_RETRY.baseMs + backoffMs(attempts, MOVE_RETRY) });
    if (isWeather(error)) {
      log.warn({ move: id, slot, attempts, reason: String(error) }, 'a move gives its place to others, and is tried again');
      return;
    }
    metrics.failed('stuck');
    log.error({ move: id, slot, attempts, error }, 'a move does not get on; it is tried again');
    await underLease(control, term.token, (tx) => noteError(tx, { id, error: String(error) })).catch((second: unknown) => {
      if (second instanceof Superseded) halt(second);
      else log.warn({ move: id, reason: String(second) }, 'why the move does not get on was not stored');
    });
  }

  async function tieUp(): Promise<void> {
    if (performance.now() < tieUpAtMs) return;
    tieUpAtMs = performance.now() + TIE_UP_MS;
    if (!(await hasLooseEnds(control))) return;
    await underLease(control, term.token, async (tx) => {
      for (const { id, state, kept } of await endPlans(tx)) {
        await audit(tx, { actor: instance, action: `plan.${state}`, subject: `plan ${id}` });
        for (const shard of kept) await audit(tx, { actor: instance, action: 'shard.keep', subject: `shard ${shard}`, detail: { plan: id } });
      }
      for (const shard of await activateMembers(tx)) await audit(tx, { actor: instance, action: 'shard.active', subject: `shard ${shard}` });
    });
  }

  return {
    tick,
    placeIsFree: () => left.promise,
    async settled() {
      while (driven.size > 0) await Promise.allSettled(driven.values());
    },
  };
}
