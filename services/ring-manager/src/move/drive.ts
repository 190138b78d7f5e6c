/**
 * Drives one move to its end: reads the rows on both shards, asks which step is next, does it, and reads again.
 *
 * Nothing is remembered but in the rows, so whoever drives may die at any point and another goes on. A mover first writes
 * its token into both rows (R5). Infrastructure errors are waited out: for seconds, so that a shard that is down keeps no
 * place from other moves; behind a fence, where nobody applies the slot, for as long as it takes.
 */
import { PgError } from '@millrace/postgres';
import { nextStep, type MoveStep, type MoveView, type SlotSide } from '@millrace/ring';
import { backoffMs, sleep } from '@millrace/runtime';
import { must } from '@millrace/write';
import { createBrake } from './brake.ts';
import { checkRanges } from './check.ts';
import { converge } from './converge.ts';
import { finishFenced } from './finish.ts';
import { lockIncoming, readCopyState } from './incoming.ts';
import { FAILURES_APART_MS, GIVE_WAY_MS, RETRY } from './limits.ts';
import { WishChanged, type Mover } from './mover.ts';
import { hasNotes, hasRows, purgeNotesOf, purgeRows } from './purge.ts';
import { createReporter, type Reporter } from './report.ts';
import { createRests, type Place } from './rest.ts';
import { claim, claimOn, lockOwn, lockToken, open, prepare, reactivate, reject } from './side.ts';
import { readSideRow, type SideRow } from './side.sql.ts';
import { beginCopy, copySnapshot } from './snapshot.ts';
import { readTables } from './table.sql.ts';
import { MoveStuck, VerificationFailed, type DriveInput, type DriveResult, type MovePhase, type MoveWish } from './types.ts';
import { isWeather } from './weather.ts';

export { verifyMove } from './verify.ts';

/**
 * @throws Superseded where another drives the move; VerificationFailed where the copy must not be used: abort it;
 * MoveStuck where an operator must look; weather that lasts; the signal's reason.
 */
export async function driveMove(input: DriveInput): Promise<DriveResult> {
  const reporter = createReporter(input);
  const standing: Standing = { isStalled: false };
  const patience = createPatience();
  for (;;) {
    input.signal.throwIfAborted();
    try {
      return await drive(input, { reporter, standing, onStep: patience.renew });
    } catch (error) {
      input.signal.throwIfAborted();
      if (error instanceof WishChanged) continue;
      const reason = await confirmed(input, refused(input, error));
      if (!isWeather(reason)) throw reason;
      if (reporter.phase() === 'fenced' || mayBeFence(input, reporter, reason)) standing.isStalled = true;
      const { attempt, isOver } = patience.failed();
      await reporter.insist({ error: String(reason) });
      if (!standing.isStalled && (isOver || (await input.wish()) === 'pause')) throw reason;
      const delayMs = backoffMs(attempt, RETRY);
      input.log.warn({ move: input.order.id, slot: input.order.slot, attempt, delayMs, reason: String(reason) }, 'a move waits and tries again');
      await sleep(delayMs, input.signal);
    }
  }
}

/** A commit on the source that has no answer, when the fence was near. */
function mayBeFence({ order, database }: DriveInput, reporter: Reporter, error: unknown): boolean {
  return error instanceof PgError && error.kind === 'unknown-commit' && error.database === database(order.source).name && reporter.phase() === 'catching_up';
}

/** What the rows said last. */
interface Standing {
  /** The source is fenced, or may be, and no shard applies the slot. */
  isStalled: boolean;
}

/** What one attempt hands on to the next. */
interface Driving {
  readonly reporter: Reporter;
  readonly standing: Standing;
  readonly onStep: () => void;
}

/** How long attempts may fail one after the other. */
function createPatience(): { renew(): void; failed(): { readonly attempt: number; readonly isOver: boolean } } {
  let attempt = 0;
  let firstAtMs = 0;
  let lastAtMs = -Infinity;
  return {
    renew() {
      attempt = 0;
    },
    failed() {
      const nowMs = performance.now();
      if (nowMs - lastAtMs > FAILURES_APART_MS) attempt = 0;
      if (attempt === 0) firstAtMs = nowMs;
      attempt += 1;
      lastAtMs = nowMs;
      return { attempt, isOver: nowMs - firstAtMs >= GIVE_WAY_MS };
    },
  };
}

/** A mover that slept while another changed both sides has compared what is no copy any more: that is no difference. */
async function confirmed(input: DriveInput, error: unknown): Promise<unknown> {
  if (!(error instanceof VerificationFailed)) return error;
  try {
    await claim(input, { source: input.database(input.order.source), target: input.database(input.order.target) });
    return error;
  } catch (claimFailed) {
    return claimFailed;
  }
}

async function drive(input: DriveInput, { reporter, standing, onStep }: Driving): Promise<DriveResult> {
  const { order, database } = input;
  const shards = { source: database(order.source), target: database(order.target) };
  await input.onStep?.('claim');
  if ((await input.wish()) === 'pause' && (await mayBeLeft(input, shards.source))) return 'paused';
  await claim(input, shards);
  const tables = await readTables(shards.source, shards.target);
  for (;;) {
    const wish = await input.wish();
    const mover: Mover = { ...input, ...shards, tables, reporter, ...gates(input, wish) };
    const step = await stepOf(input, mover, wish);
    standing.isStalled = step.isStalled;
    if (wish === 'pause' && mayRest(step)) return 'paused';
    const told = reporter.tell(PHASES[step.kind], { error: null, ...(step.kind === 'publish' ? reporter.supposed() : {}) });
    told.catch(() => undefined);
    // A stalled slot does not wait for the control database.
    if (!step.isStalled) await told;
    await mover.step(step.kind);
    const result = await perform(input, mover, step);
    // A rejection alone does not end the stall.
    standing.isStalled = step.isStalled && step.kind === 'reject';
    await told;
    onStep();
    if (result) return result;
  }
}

/**
 * Whether a paused move may be left alone without the target, which may be down: the source has not given the slot up,
 * and will not by an older mover, or the topology names the target. What cannot be seen from here, the steps tell.
 */
async function mayBeLeft(input: DriveInput, source: Mover['source']): Promise<boolean> {
  const row = await claimOn(input, source);
  if (row?.move !== input.order.id) return row?.state === 'ACTIVE';
  return row.state === 'MOVING' || (row.state === 'MOVED' && (await input.isPublished()));
}

/** Where a move may be left alone: not between the fence and what follows it, when nobody applies the slot. */
function mayRest({ kind }: NextStep): boolean {
  return ['prepare', 'open', 'copy', 'purge', 'clear'].includes(kind);
}

/** A step that can be done, and whether nobody applies the slot until it is. */
interface NextStep {
  readonly kind: Exclude<MoveStep['kind'], 'stuck'>;
  readonly isStalled: boolean;
}

const PHASES: Readonly<Record<NextStep['kind'], MovePhase>> = {
  prepare: 'preparing',
  open: 'preparing',
  copy: 'copying',
  finish: 'fenced',
  publish: 'activated',
  purge: 'purging',
  done: 'done',
  reject: 'aborting',
  reactivate: 'aborting',
  clear: 'aborting',
  aborted: 'aborted',
};

function gates({ wish, signal, onStep }: DriveInput, current: MoveWish): Pick<Mover, 'checkpoint' | 'step'> {
  const step = async (name: string): Promise<void> => {
    signal.throwIfAborted();
    await onStep?.(name);
    signal.throwIfAborted();
  };
  return {
    step,
    async checkpoint(name) {
      await step(name);
      const now = await wish();
      if (now !== current) throw new WishChanged(now);
    },
  };
}

async function stepOf(input: DriveInput, mover: Mover, wish: MoveWish): Promise<NextStep> {
  const view = await readView(input, mover, wish);
  const step = nextStep(view);
  if (step.kind !== 'stuck') return { kind: step.kind, isStalled: isStalled(view) };
  // Both rows are read one after the other: under a fresh claim nobody changes them in between.
  await claim(mover, mover);
  const later = await readView(input, mover, wish);
  const again = nextStep(later);
  if (again.kind === 'stuck') throw new MoveStuck(mover.order, again.reason);
  return { kind: again.kind, isStalled: isStalled(later) };
}

function isStalled({ move, sourceSide, targetSide }: MoveView): boolean {
  return sourceSide?.state === 'MOVED' && sourceSide.move === move && targetSide?.state !== 'ACTIVE';
}

async function readView({ isPublished }: DriveInput, mover: Mover, wish: MoveWish): Promise<MoveView> {
  const { order, source, target } = mover;
  const [sourceSide, targetSide, published] = await Promise.all([readSide(mover, source), readSide(mover, target), isPublished()]);
  const view = { move: order.id, goal: wish === 'abort' ? wish : 'forward', source: order.source, target: order.target, sourceSide, targetSide, published } as const;
  return { ...view, leftovers: await leftoversOf(mover, targetSide) };
}

async function readSide({ order }: Mover, database: Mover['source']): Promise<SlotSide | undefined> {
  const [row] = await database.query<SideRow>(readSideRow(order.slot));
  return row && { state: row.state, epoch: row.epoch, move: row.move, movedTo: row.moved_to };
}

/** Looked for where a move ends: on the source behind an activation, on the target behind a rejection. */
async function leftoversOf(mover: Mover, target: SlotSide | undefined): Promise<boolean | undefined> {
  if (target?.move !== mover.order.id || (target.state !== 'ACTIVE' && target.state !== 'ABORTED')) return undefined;
  const rowsOn = target.state === 'ACTIVE' ? mover.source : mover.target;
  return (await hasRows(mover, rowsOn)) || (await hasNotes(mover, mover.source));
}

async function perform({ publish }: DriveInput, mover: Mover, step: NextStep): Promise<DriveResult | undefined> {
  const { source, target } = mover;
  switch (step.kind) {
    case 'prepare':
      await prepare(mover, target, (await sideOf(mover, source)).epoch);
      return undefined;
    case 'open':
      // What an earlier move left on the target goes first, while the source has nothing to note.
      await purgeIncoming(mover);
      await mover.step('opening');
      await open(mover, source);
      return undefined;
    case 'copy':
      await copy(mover);
      return undefined;
    case 'finish':
      await finishFenced(mover);
      return undefined;
    case 'publish':
      await publish();
      return undefined;
    case 'purge':
      await purgeSource(mover);
      return undefined;
    case 'reject':
      await reject(mover, target, (await sideOf(mover, source)).epoch);
      return undefined;
    case 'reactivate':
      await reactivate(mover, source, (await sideOf(mover, target)).epoch + 1n);
      return undefined;
    case 'clear':
      await clear(mover);
      return undefined;
    case 'done':
    case 'aborted':
      await mover.reporter.insist({});
      return step.kind;
  }
}

async function copy(mover: Mover): Promise<void> {
  const begun = (await readCopyState(mover)) ?? (await beginCopy(mover));
  const rests = createRests(mover, [sourceOf(mover), targetOf(mover)]);
  const copied = await copySnapshot(mover, begun, rests);
  const brake = createBrake(mover);
  try {
    const checked = await checkRanges(mover, copied, { brake, rests });
    await converge(mover, checked, brake);
  } finally {
    await brake.release();
  }
}

function sourceOf({ order, source }: Mover): Place {
  return { shard: order.source, database: source };
}

function targetOf({ order, target }: Mover): Place {
  return { shard: order.target, database: target };
}

async function purgeIncoming(mover: Mover): Promise<void> {
  if (!(await hasRows(mover, mover.target))) return;
  await purgeRows(mover, { at: targetOf(mover), own: (tx) => lockIncoming(mover, undefined, tx), onPurged: async () => undefined });
}

async function purgeSource(mover: Mover): Promise<void> {
  const purge = { at: sourceOf(mover), own: (tx: Parameters<typeof lockOwn>[2]) => lockOwn(mover, mover.source, tx, ['MOVED']), onPurged: counting(mover, 'purging') };
  await purgeRows(mover, purge);
  await purgeNotesOf(mover, purge);
}

/** The notes of a source that is active again may only go while no later move makes new ones. */
async function clear(mover: Mover): Promise<void> {
  const onPurged = counting(mover, 'aborting');
  await purgeRows(mover, { at: targetOf(mover), own: (tx) => lockOwn(mover, mover.target, tx, ['ABORTED']), onPurged });
  const own = async (tx: Parameters<typeof lockOwn>[2]): Promise<void> => {
    const { state } = await lockToken(mover, mover.source, tx);
    if (state !== 'ACTIVE') throw new MoveStuck(mover.order, `the source is ${state} while its notes are to be cleared`);
  };
  await purgeNotesOf(mover, { at: sourceOf(mover), own, onPurged });
}

function counting({ reporter }: Mover, phase: MovePhase): (rows: number) => Promise<void> {
  let purged = 0;
  return (rows) => reporter.tell(phase, { purged: (purged += rows) });
}

async function sideOf({ order }: Mover, database: Mover['source']): Promise<SideRow> {
  return must((await database.query<SideRow>(readSideRow(order.slot)))[0], 'the step has seen the row');
}

/** Rows that a shard refuses cannot be copied, however often it is tried. */
function refused({ order }: DriveInput, error: unknown): unknown {
  if (!(error instanceof PgError) || error.kind !== 'data') return error;
  return new VerificationFailed(order, `rows of the slot are refused: ${error.message}`, error);
}
