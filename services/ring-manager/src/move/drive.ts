/**
 * Drives one move to its end: reads the rows on both shards, asks which step is next, does it, and reads again.
 *
 * Nothing is remembered but in the rows, so whoever drives may die at any point and another goes on. A mover first writes
 * its token into both rows (R5); infrastructure errors are waited out, for as long as it takes.
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
import { RETRY } from './limits.ts';
import { WishChanged, type Mover } from './mover.ts';
import { hasNotes, hasRows, purgeNotesOf, purgeRows } from './purge.ts';
import { createReporter, type Reporter } from './report.ts';
import { claim, lockOwn, lockToken, open, prepare, reactivate, reject } from './side.ts';
import { readSideRow, type SideRow } from './side.sql.ts';
import { beginCopy, copySnapshot } from './snapshot.ts';
import { readTables } from './table.sql.ts';
import { MoveStuck, VerificationFailed, type DriveInput, type DriveResult, type MovePhase, type MoveWish } from './types.ts';

export { verifyMove } from './verify.ts';

/**
 * @throws Superseded where another drives the move; VerificationFailed where the copy must not be used: abort it;
 * MoveStuck where an operator must look; the signal's reason.
 */
export async function driveMove(input: DriveInput): Promise<DriveResult> {
  const reporter = createReporter(input);
  let failures = 0;
  for (;;) {
    input.signal.throwIfAborted();
    try {
      return await drive(input, reporter, () => (failures = 0));
    } catch (error) {
      input.signal.throwIfAborted();
      if (error instanceof WishChanged) continue;
      const reason = await confirmed(input, refused(input, error));
      if (!isWeather(reason)) throw reason;
      failures += 1;
      const delayMs = backoffMs(failures, RETRY);
      input.log.warn({ move: input.order.id, slot: input.order.slot, attempt: failures, delayMs, reason: String(reason) }, 'a move waits and tries again');
      await reporter.insist({ error: String(reason) });
      await sleep(delayMs, input.signal);
    }
  }
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

async function drive(input: DriveInput, reporter: Reporter, onStep: () => void): Promise<DriveResult> {
  const { order, database } = input;
  const shards = { source: database(order.source), target: database(order.target) };
  await input.onStep?.('claim');
  await claim(input, shards);
  const tables = await readTables(shards.source, shards.target);
  for (;;) {
    const wish = await input.wish();
    const mover: Mover = { ...input, ...shards, tables, reporter, ...gates(input, wish) };
    const step = await stepOf(input, mover, wish);
    if (wish === 'pause' && mayRest(step)) return 'paused';
    await reporter.tell(PHASES[step.kind], { error: null });
    await mover.step(step.kind);
    const result = await perform(input, mover, step);
    onStep();
    if (result) return result;
  }
}

/** Where a move may be left alone: not between the fence and what follows it, when nobody applies the slot. */
function mayRest({ kind }: MoveStep): boolean {
  return ['prepare', 'open', 'copy', 'purge', 'clear'].includes(kind);
}

const PHASES: Readonly<Record<MoveStep['kind'], MovePhase>> = {
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
  stuck: 'planned',
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

async function stepOf(input: DriveInput, mover: Mover, wish: MoveWish): Promise<MoveStep> {
  const step = nextStep(await readView(input, mover, wish));
  if (step.kind !== 'stuck') return step;
  // Both rows are read one after the other: under a fresh claim nobody changes them in between.
  await claim(mover, mover);
  const again = nextStep(await readView(input, mover, wish));
  if (again.kind === 'stuck') throw new MoveStuck(mover.order, again.reason);
  return again;
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

async function perform({ isPublished, publish }: DriveInput, mover: Mover, step: MoveStep): Promise<DriveResult | undefined> {
  const { source, target, order } = mover;
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
      if (!(await isPublished())) await publish();
      return undefined;
    case 'purge':
      await purgeSource(mover);
      return undefined;
    case 'reject':
      await reject(mover, target);
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
    case 'stuck':
      throw new MoveStuck(order, step.reason);
  }
}

async function copy(mover: Mover): Promise<void> {
  const begun = (await readCopyState(mover)) ?? (await beginCopy(mover));
  const copied = await copySnapshot(mover, begun);
  const brake = createBrake(mover);
  try {
    const checked = await checkRanges(mover, copied, brake);
    await converge(mover, checked, brake);
  } finally {
    await brake.release();
  }
}

async function purgeIncoming(mover: Mover): Promise<void> {
  await purgeRows(mover, { database: mover.target, own: (tx) => lockIncoming(mover, undefined, tx), onPurged: async () => undefined });
}

async function purgeSource(mover: Mover): Promise<void> {
  const purge = { database: mover.source, own: (tx: Parameters<typeof lockOwn>[2]) => lockOwn(mover, mover.source, tx, ['MOVED']), onPurged: counting(mover, 'purging') };
  await purgeRows(mover, purge);
  await purgeNotesOf(mover, purge);
}

/** The notes of a source that is active again may only go while no later move makes new ones. */
async function clear(mover: Mover): Promise<void> {
  const onPurged = counting(mover, 'aborting');
  await purgeRows(mover, { database: mover.target, own: (tx) => lockOwn(mover, mover.target, tx, ['ABORTED']), onPurged });
  const own = async (tx: Parameters<typeof lockOwn>[2]): Promise<void> => {
    const { state } = await lockToken(mover, mover.source, tx);
    if (state !== 'ACTIVE') throw new MoveStuck(mover.order, `the source is ${state} while its notes are to be cleared`);
  };
  await purgeNotesOf(mover, { database: mover.source, own, onPurged });
}

function counting({ reporter }: Mover, phase: MovePhase): (rows: number) => Promise<void> {
  let purged = 0;
  return (rows) => reporter.tell(phase, { purged: (purged += rows) });
}

async function sideOf({ order }: Mover, database: Mover['source']): Promise<SideRow> {
  return must((await database.query<SideRow>(readSideRow(order.slot)))[0], 'the step has seen the row');
}

/** What may be otherwise in a while. */
function isWeather(error: unknown): boolean {
  if (error instanceof PgError) return error.kind === 'infrastructure' || error.kind === 'unknown-commit';
  return typeof error === 'object' && error !== null && 'retryable' in error && error.retryable === true;
}

/** Rows of the source that the target refuses cannot be copied, however often it is tried. */
function refused({ order }: DriveInput, error: unknown): unknown {
  if (!(error instanceof PgError) || error.kind !== 'data') return error;
  return new VerificationFailed(order, `the target refuses rows of the source: ${error.message}`, error);
}
