/**
 * The copy of an open slot, up to the fence: empty the target, remember where the logs are, copy in chunks, catch up in
 * rounds, compare. Each is a read on the source and then a transaction on the target, which also keeps the progress;
 * so it goes on wherever the mover before was.
 */
import { CHANGED, VERIFICATION_FAILED, type Steps } from './actor.ts';
import { arriving, readDelta, settledRows, store, writeDelta } from './delta.ts';
import type { Drive } from './guard.ts';
import { advance } from './progress.ts';
import { CHUNKS, type RowNo } from './rows.ts';
import type { Positions, Progress, Shard } from './shard.ts';
import { fence } from './source.ts';
import { finish } from './target.ts';

export function* copy(drive: Drive): Steps {
  const { move } = drive;
  yield "reads the target's progress";
  let progress = move.target.incoming;
  while (progress && move.state === 'running') {
    const next: Progress | undefined = yield* copyOn(drive, progress);
    if (!next) return yield* endCopy(drive);
    progress = next;
  }
  if (!progress) throw CHANGED;
}

/** Undefined: there is nothing more to do before the fence. */
function* copyOn(drive: Drive, progress: Progress): Steps<Progress | undefined> {
  const { random, rules } = drive.world;
  const { emptied, cursor, chunks, compared } = progress;
  if (emptied < CHUNKS.length) return yield* emptyRange(drive, progress);
  if (!cursor && (rules.cursorBeforeChunks || chunks === CHUNKS.length)) return yield* remember(drive, progress);
  if (chunks < CHUNKS.length) return yield* copyChunk(drive, progress);
  if (random.oneIn(2)) return yield* catchUp(drive, progress, cursor!);
  if (!compared && rules.compareBeforeActivation) return yield* compare(drive, progress, cursor!);
  return undefined;
}

/** What an earlier move left. */
function* emptyRange(drive: Drive, progress: Progress): Steps<Progress> {
  const { from, to } = CHUNKS[progress.emptied]!;
  const { target } = drive.move;
  const emptied = target.rows.some((value) => value !== 0) ? progress.emptied + 1 : CHUNKS.length;
  return yield* advance(drive, progress, { emptied }, (tx) => {
    tx.writes.push(() => (target.rows = target.rows.map((value, row) => (row >= from && row < to ? 0 : value))));
  });
}

function* remember(drive: Drive, progress: Progress): Steps<Progress> {
  yield 'reads the positions of the source';
  return yield* advance(drive, progress, { cursor: drive.move.source.positions }, () => undefined);
}

function* copyChunk(drive: Drive, progress: Progress): Steps<Progress> {
  const { world, move } = drive;
  const { from, to } = CHUNKS[progress.chunks]!;
  yield 'reads a chunk of the source';
  const sent = numbered(move.source).slice(from, to).filter(([, value]) => value !== 0);
  const arrived = arriving(world, sent);
  return yield* advance(drive, progress, { chunks: progress.chunks + 1 }, (tx) => {
    // COPY only inserts: a row that is there already fails the transaction.
    if (arrived.some(([row]) => move.target.rows[row] !== 0)) throw CHANGED;
    tx.writes.push(() => store(move.target, arrived));
  });
}

function* catchUp(drive: Drive, progress: Progress, cursor: Positions): Steps<Progress> {
  const delta = yield* readDelta(drive, cursor);
  return yield* advance(drive, progress, { cursor: delta.to }, (tx) => writeDelta(drive, tx, delta));
}

/** @throws VERIFICATION_FAILED */
function* compare(drive: Drive, progress: Progress, cursor: Positions): Steps<Progress> {
  const { source, target } = drive.move;
  yield 'compares with one snapshot of the source';
  const settled = settledRows(drive, cursor);
  const rows = source.rows;
  return yield* advance(drive, progress, { compared: true }, () => {
    if (rows.some((value, row) => settled(row) && value !== target.rows[row])) throw VERIFICATION_FAILED;
  });
}

function* endCopy(drive: Drive): Steps {
  if (drive.world.rules.fenceBeforeActivation) return yield* fence(drive);
  yield* finish(drive);
  return yield* fence(drive);
}

function numbered({ rows }: Shard): readonly (readonly [RowNo, number])[] {
  return rows.map((value, row) => [row, value]);
}
