/**
 * Deleting the rows of a slot from a shard that does not own it, in small transactions that rest in between, so that the
 * shard's own writes do not feel them. Each is under the slot's row, with this mover's token (R5).
 */
import type { Database, Tx } from '@millrace/postgres';
import { BY_INDEX_ONLY, LOCK_TIMEOUT_MS, PURGE_BATCH_MS, PURGE_ROWS_FIRST, PURGE_ROWS_MAX, PURGE_ROWS_MIN } from './limits.ts';
import type { Mover } from './mover.ts';
import { purgeNotes } from './notes.sql.ts';
import { nextPiece } from './piece.ts';
import { restBehind, type Place } from './rest.ts';
import { purgeNext, type Key } from './table.sql.ts';

export interface Purge {
  readonly at: Place;
  /** Locks the slot's row, and finds that its rows may go. */
  readonly own: (tx: Tx) => Promise<unknown>;
  /** Told with the rows of each batch. */
  readonly onPurged: (rows: number) => Promise<void>;
}

/** Every row of the slot, but not its row of `slot` and its positions. */
export async function purgeRows(mover: Mover, purge: Purge): Promise<void> {
  const left = [...mover.tables];
  let after: Key | null = null;
  await purgeAll(mover, purge, async (tx, rowsMax) => {
    let gone = 0;
    for (let table = left[0]; table && gone < rowsMax; table = left[0]) {
      const wanted = rowsMax - gone;
      const [batch] = await tx.query<{ rows: bigint; key: string[] | null }>(purgeNext(table, mover.order.slot, after, wanted));
      const rows = Number(batch?.rows ?? 0n);
      gone += rows;
      after = batch?.key ?? after;
      if (rows === wanted) continue;
      left.shift();
      after = null;
    }
    return gone;
  });
}

/** The notes of the slot. */
export async function purgeNotesOf(mover: Mover, purge: Purge): Promise<void> {
  await purgeAll(mover, purge, async (tx, rows) => {
    const [batch] = await tx.query<{ rows: bigint }>(purgeNotes(mover.order.slot, rows));
    return Number(batch?.rows ?? 0n);
  });
}

/** Whether a shard still has rows of the slot. */
export async function hasRows({ tables, order }: Pick<Mover, 'tables' | 'order'>, database: Database): Promise<boolean> {
  const any = tables.map(({ name }) => `exists (select from "${name}" where slot = $1)`).join(' or ');
  return isTrue(database, `select ${any} as found`, order.slot);
}

export async function hasNotes({ order }: Pick<Mover, 'order'>, database: Database): Promise<boolean> {
  return isTrue(database, 'select exists (select from changed where slot = $1) as found', order.slot);
}

async function isTrue(database: Database, text: string, slot: number): Promise<boolean> {
  const rows = await database.transaction((tx) => tx.query<{ found: boolean }>({ text, values: [slot] }), { readOnly: true, settings: BY_INDEX_ONLY });
  return rows[0]?.found === true;
}

async function purgeAll(mover: Mover, { at, own, onPurged }: Purge, batch: (tx: Tx, rows: number) => Promise<number>): Promise<void> {
  for (let rows = PURGE_ROWS_FIRST; ; ) {
    await mover.checkpoint('purge batch');
    const startedAtMs = performance.now();
    const done = await at.database.transaction(
      async (tx) => {
        await own(tx);
        return batch(tx, rows);
      },
      { lockTimeoutMs: LOCK_TIMEOUT_MS, settings: BY_INDEX_ONLY },
    );
    const workedMs = performance.now() - startedAtMs;
    if (done > 0) await onPurged(done);
    // Nobody writes rows of a slot that is not here.
    if (done < rows) return;
    const wantedMs = await restBehind(mover, [at], { workedMs, idleMs: PURGE_BATCH_MS });
    rows = nextPiece(rows, { tookMs: workedMs, wantedMs }, { min: PURGE_ROWS_MIN, max: PURGE_ROWS_MAX });
  }
}
