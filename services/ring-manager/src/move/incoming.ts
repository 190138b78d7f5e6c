/**
 * How far the copy of a slot is: a row on the target, written in the transactions that copy. So what it says and what is
 * there cannot differ, whoever goes on from it.
 */
import type { Tx } from '@millrace/postgres';
import { assert, type Stream } from '@millrace/write';
import { z } from 'zod';
import { toJson } from '@millrace/wire';
import { BY_INDEX_ONLY, CHUNK_TIMEOUT_MS, LOCK_TIMEOUT_MS } from './limits.ts';
import { OutOfStep, type Mover } from './mover.ts';
import { lockOwn } from './side.ts';
import type { Key } from './table.sql.ts';
import type { ComparedTable } from './types.ts';

/** An offset for every stream. */
export type Cursors = Readonly<Record<Stream, bigint>>;

export interface CopyState {
  /** Rises with every transaction that goes on from this state: two never go on from the same. */
  readonly version: number;
  /** The target holds what the source had written before these positions, as far as the stage says. */
  readonly cursors: Cursors;
  readonly stage: Stage;
  readonly rows: number;
  readonly bytes: number;
  readonly rounds: number;
  /** Tables that were compared as a whole. */
  readonly compared: readonly ComparedTable[];
}

export type Stage =
  /** Tables before this one are copied, and of this one the keys up to `after`; of the journal, offsets below the cursors. */
  | { readonly kind: 'snapshot'; readonly table: string; readonly after: Key | null }
  /** Compared likewise; of the journal, offsets below `until`. */
  | { readonly kind: 'check'; readonly table: string; readonly after: Key | null; readonly until: Cursors; readonly rows: bigint; readonly checksum: bigint }
  /** Everything was compared; what rounds bring is compared as they bring it. */
  | { readonly kind: 'rounds' };

export const STREAMS: readonly Stream[] = ['writes', 'sagas'];

const offset = z.string().regex(/^\d+$/).transform(BigInt);
const cursors = z.object({ writes: offset, sagas: offset });
const key = z.array(z.string()).nullable();
const stage = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('snapshot'), table: z.string(), after: key }),
  z.object({ kind: z.literal('check'), table: z.string(), after: key, until: cursors, rows: offset, checksum: z.string().regex(/^-?\d+$/).transform(BigInt) }),
  z.object({ kind: z.literal('rounds') }),
]);
const compared = z.object({ table: z.string(), rows: z.string(), checksum: z.string(), when: z.enum(['before_fence', 'in_fence']) });
const state = z.object({ version: z.number(), cursors, stage, rows: z.number(), bytes: z.number(), rounds: z.number(), compared: z.array(compared) });

/** What the row says; undefined where nothing is copied yet. */
export function parseCopyState(progress: unknown): CopyState | undefined {
  if (typeof progress !== 'object' || progress === null || Object.keys(progress).length === 0) return undefined;
  return state.parse(progress);
}

export async function readCopyState({ target, order }: Pick<Mover, 'target' | 'order'>): Promise<CopyState | undefined> {
  return parseCopyState(await readProgress(target, order.slot));
}

async function readProgress(on: Pick<Tx, 'query'>, slot: number): Promise<unknown> {
  const rows = await on.query<{ progress: unknown }>({ name: 'incoming-progress', text: 'select progress from incoming where slot = $1', values: [slot] });
  return rows[0]?.progress;
}

/**
 * One transaction on the target that goes on from `before`: R5, the work, and the state that the work leaves.
 * @throws Superseded; OutOfStep where an earlier attempt of this mover has gone on already
 */
export async function goOn(mover: Mover, before: CopyState | undefined, work: (tx: Tx) => Promise<CopyState>): Promise<CopyState> {
  return mover.target.transaction(
    async (tx) => {
      await lockIncoming(mover, before, tx);
      const next = { ...(await work(tx)), version: (before?.version ?? 0) + 1 };
      await tx.query({ name: 'incoming-progress-write', text: 'update incoming set progress = $2 where slot = $1', values: [mover.order.slot, toJson(next)] });
      return next;
    },
    { lockTimeoutMs: LOCK_TIMEOUT_MS, statementTimeoutMs: CHUNK_TIMEOUT_MS, settings: BY_INDEX_ONLY },
  );
}

/** R5 for a transaction that goes on from a state. */
export async function lockIncoming(mover: Mover, before: CopyState | undefined, tx: Tx): Promise<void> {
  // Sent behind the lock, so the second reads what whoever held it has left.
  const [, progress] = await Promise.all([lockOwn(mover, mover.target, tx, ['INCOMING']), readProgress(tx, mover.order.slot)]);
  const found = parseCopyState(progress)?.version;
  if (found !== before?.version) throw new OutOfStep(`the copy is at version ${found}, not ${before?.version}`);
}

export function cursorsOf(positions: readonly { readonly stream: Stream; readonly next_offset: bigint }[]): Cursors {
  const of = (stream: Stream): bigint => {
    const position = positions.find((row) => row.stream === stream);
    assert(position, `the slot has a position of stream ${stream}`);
    return position.next_offset;
  };
  return { writes: of('writes'), sagas: of('sagas') };
}
