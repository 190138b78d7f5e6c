/** The steps on the target, but for the copy. */
import { CHANGED, type Steps } from './actor.ts';
import { readDelta, writeDelta, type Delta } from './delta.ts';
import { guarded, INCOMING, type Drive, type Guard } from './guard.ts';
import { CHUNKS } from './rows.ts';
import type { Progress } from './shard.ts';
import { purgeBatch } from './purge.ts';

const ACTIVE: Guard = { move: 'this', finds: ({ state }) => state === 'ACTIVE' };
const FRESH: Progress = { emptied: 0, cursor: undefined, chunks: 0, compared: false };

/** No row, or one of an ended move, becomes INCOMING. */
export function* prepare(drive: Drive): Steps {
  const { source, target, id } = drive.move;
  const epoch = source.slot!.epoch + 1n;
  yield* guarded(drive, target, { move: 'earlier', finds: ({ state }) => state === 'MOVED' || state === 'ABORTED' }, (tx) => {
    tx.writes.push(() => {
      target.slot = { state: 'INCOMING', epoch, move: id, movedTo: null, token: drive.token };
      target.incoming = FRESH;
    });
  });
}

/** The last delta, the positions, and the slot: INCOMING -> ACTIVE. */
export function* finish(drive: Drive): Steps {
  const { target } = drive.move;
  const { rules } = drive.world;
  yield "reads the target's progress";
  const cursor = target.incoming?.cursor;
  if (!cursor) throw CHANGED;
  const delta = yield* readDelta(drive, cursor);
  yield* guarded(drive, target, { ...INCOMING, positions: 'every stream' }, (tx) => {
    if (rules.lastDeltaBeforeActivation) writeDelta(drive, tx, delta);
    tx.writes.push(() => activate(drive, delta));
  });
  if (!rules.lastDeltaBeforeActivation) yield* guarded(drive, target, ACTIVE, (tx) => writeDelta(drive, tx, delta));
}

function activate({ move: { target } }: Drive, { to }: Delta): void {
  target.slot = { ...target.slot!, state: 'ACTIVE' };
  target.positions = to;
  target.incoming = undefined;
}

/** INCOMING -> ABORTED: from here the target cannot take the slot by this move. */
export function* reject(drive: Drive): Steps {
  const { target } = drive.move;
  yield* guarded(drive, target, INCOMING, (tx) => {
    tx.writes.push(() => (target.slot = { ...target.slot!, state: 'ABORTED' }));
  });
}

/** The copied rows of a rejected target, in batches; its progress with the last. */
export function* clearRows(drive: Drive): Steps {
  const { target } = drive.move;
  for (const [batch, { from, to }] of CHUNKS.entries()) {
    yield* purgeBatch(drive, target, { move: 'this' }, () => {
      target.rows = target.rows.map((value, row) => (row >= from && row < to ? 0 : value));
      if (batch === CHUNKS.length - 1) target.incoming = undefined;
    });
  }
}
