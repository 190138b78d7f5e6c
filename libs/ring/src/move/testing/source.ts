/** The steps on the source. Lock order: the positions of every stream, then the slot row. */
import type { Steps } from './actor.ts';
import { guarded, type Drive } from './guard.ts';
import { CHUNKS } from './rows.ts';
import { hasRows } from './shard.ts';
import { purgeBatch } from './purge.ts';

/** ACTIVE -> MOVING: from here every turn notes what it changes. */
export function* open(drive: Drive): Steps {
  const { source, id } = drive.move;
  const positions = drive.world.rules.openLocksEveryStream ? 'every stream' : 'first stream';
  yield* guarded(drive, source, { positions, move: 'earlier', finds: ({ state }) => state === 'ACTIVE' }, (tx) => {
    tx.writes.push(() => (source.slot = { ...source.slot!, state: 'MOVING', move: id }));
  });
}

/** MOVING -> MOVED: from here the source refuses the slot. */
export function* fence(drive: Drive): Steps {
  const { source, target } = drive.move;
  const positions = drive.world.rules.fenceLocksEveryStream ? 'every stream' : 'first stream';
  yield* guarded(drive, source, { positions, move: 'this', finds: ({ state }) => state === 'MOVING' }, (tx) => {
    tx.writes.push(() => (source.slot = { ...source.slot!, state: 'MOVED', movedTo: target.id }));
  });
}

/** MOVING | MOVED -> ACTIVE: only behind the rejection. */
export function* reactivate(drive: Drive): Steps {
  const { source, target } = drive.move;
  const epoch = target.slot!.epoch + 1n;
  yield* guarded(drive, source, { positions: 'every stream', move: 'this', finds: ({ state }) => state === 'MOVING' || state === 'MOVED' }, (tx) => {
    tx.writes.push(() => (source.slot = { ...source.slot!, state: 'ACTIVE', epoch, move: null, movedTo: null }));
  });
}

/** The rows that the target has now, in batches; the notes with the last. The slot row stays, as signpost. */
export function* purge(drive: Drive): Steps {
  const { source } = drive.move;
  for (const [batch, { from, to }] of CHUNKS.entries()) {
    yield* purgeBatch(drive, source, { move: 'this' }, () => {
      source.rows = source.rows.map((value, row) => (row >= from && row < to ? 0 : value));
      if (batch === CHUNKS.length - 1) source.notes = [];
    });
  }
}

/** The notes of a source that has the slot again. Its row names no move now: that is what a late clear must find. */
export function* clearNotes(drive: Drive): Steps {
  const { source } = drive.move;
  const checked = drive.world.rules.clearChecksSource;
  yield* purgeBatch(drive, source, { move: 'earlier', finds: checked ? ({ state }) => state === 'ACTIVE' : undefined }, () => (source.notes = []));
}

export function hasLeftovers({ source, target }: Drive['move'], after: 'activation' | 'rejection'): boolean {
  if (source.notes.length > 0) return true;
  return after === 'activation' ? hasRows(source) : hasRows(target) || target.incoming !== undefined;
}
