/**
 * A writer of one stream: turn after turn, on any shard. Which shard is a hint that may be old, and another writer of
 * the same stream may be at it too; the rows decide (R4, W3).
 */
import { IDLE, SESSION_ENDED, COMMIT_UNKNOWN, type Actor, type Steps } from './actor.ts';
import { fold, journalOffset, LOG_RECORDS, type StreamNo } from './rows.ts';
import { holds, withPosition, type Note } from './shard.ts';
import { lock, transaction, type Tx } from './transaction.ts';
import type { World } from './world.ts';

const TURN_RECORDS_MAX = 2;

export function* writer(world: World, self: Actor, stream: StreamNo): Steps {
  for (;;) {
    yield IDLE;
    if (world.truth.positions[stream] === LOG_RECORDS) continue;
    const shard = world.shards.find(holds);
    const there = shard && !world.random.oneIn(8) ? shard : world.random.pick(world.shards);
    try {
      yield* transaction(world, self, there, (tx) => turn(world, tx, stream));
    } catch (error) {
      // W5: the next turn reads what became of this one.
      if (error !== SESSION_ENDED && error !== COMMIT_UNKNOWN) throw error;
    }
  }
}

function* turn(world: World, tx: Tx, stream: StreamNo): Steps {
  const { shard } = tx;
  const slotBefore = shard.slot;
  if (!(yield* lock(tx, stream))) return;
  if (world.rules.turnReadsSlotAfterLock) yield 'reads the slot row and the rows of its records';
  const state = (world.rules.turnReadsSlotAfterLock ? shard.slot : slotBefore)?.state;
  const from = shard.positions[stream];
  if (state !== 'ACTIVE' && state !== 'MOVING') return;
  const to = Math.min(LOG_RECORDS, from + 1 + world.random.below(TURN_RECORDS_MAX));
  if (from === to) return;
  const before = shard.rows;
  const after = before.slice();
  fold(after, stream, world.logs[stream], { from, to });
  const changed = [...after.keys()].filter((row) => after[row] !== before[row]);
  tx.writes.push(() => {
    world.appliesTurn(shard, stream, { from, to });
    world.happens(state === 'MOVING' ? 'a turn of a MOVING slot' : 'a turn of an ACTIVE slot');
    shard.rows = shard.rows.slice();
    for (const row of changed) shard.rows[row] = after[row]!;
    shard.positions = withPosition(shard.positions, stream, to);
    if (state === 'MOVING') shard.notes = [...shard.notes, ...notesOf(world, changed, { stream, position: from })];
  });
}

/** Journal rows at the position and after it are found by their offsets. */
function notesOf({ rules }: World, changed: readonly number[], { stream, position }: { stream: StreamNo; position: number }): readonly Note[] {
  if (!rules.turnsNote) return [];
  return changed
    .filter((row) => {
      const offset = journalOffset(row, stream);
      return offset === undefined || (offset < position && rules.turnsNoteOldJournalRows);
    })
    .map((row) => ({ stream, offset: position, row }));
}

