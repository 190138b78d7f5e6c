/** The moves of the control database, as the admin API reads and changes them. */
import type { Tx } from '@millrace/postgres';
import type { SlotMove } from '@millrace/ring';
import type { ShardId, Slot } from '@millrace/write';
import type { MovePhase, MoveProgress } from '../move/types.ts';

export type MoveState = 'planned' | 'running' | 'aborting' | 'done' | 'aborted';

export interface MoveRecord {
  readonly id: bigint;
  readonly plan: bigint | null;
  readonly slot: Slot;
  readonly source: ShardId;
  readonly target: ShardId;
  readonly state: MoveState;
  /** By itself, or with its plan. */
  readonly paused: boolean;
  readonly phase: MovePhase;
  readonly progress: Partial<MoveProgress>;
  readonly error: string | null;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
}

const COLUMNS = `m.id, m.plan, m.slot, m.source, m.target, m.state, m.phase, m.progress, m.error,
  m.paused or coalesce(p.state = 'paused', false) as paused,
  m.created_at as "createdAt", m.started_at as "startedAt", m.ended_at as "endedAt"`;
const FROM = 'from move m left join plan p on p.id = m.plan';

export interface MoveFilter {
  readonly plan?: bigint | undefined;
  readonly open?: boolean | undefined;
  readonly limit: number;
}

/** Newest first. */
export function listMoves(control: Pick<Tx, 'query'>, { plan, open, limit }: MoveFilter): Promise<readonly MoveRecord[]> {
  return control.query({
    name: 'move-list',
    text: `select ${COLUMNS} ${FROM}
           where ($1::bigint is null or m.plan = $1) and ($2::bool is null or $2 = (m.state not in ('done', 'aborted')))
           order by m.id desc limit $3`,
    values: [plan ?? null, open ?? null, limit],
  });
}

/** Every open move, oldest first. R3: at most one a slot. */
export function openMoves(control: Pick<Tx, 'query'>): Promise<readonly MoveRecord[]> {
  return control.query({ name: 'move-open', text: `select ${COLUMNS} ${FROM} where m.state not in ('done', 'aborted') order by m.id` });
}

export async function readMove(control: Pick<Tx, 'query'>, id: bigint): Promise<MoveRecord | undefined> {
  const rows = await control.query<MoveRecord>({ name: 'move-read', text: `select ${COLUMNS} ${FROM} where m.id = $1`, values: [id] });
  return rows[0];
}

/** R3: a slot that has an open move gets no other; the moves that were made, which may be fewer than asked for. */
export function insertMoves(tx: Tx, { plan, moves, author }: { readonly plan: bigint | null; readonly moves: readonly SlotMove[]; readonly author: string }): Promise<readonly { id: bigint; slot: Slot }[]> {
  return tx.query({
    name: 'move-insert',
    text: `insert into move (plan, slot, source, target, state, created_by)
           select $1, m.slot, m.source, m.target, 'planned', $5
           from unnest($2::int[], $3::text[], $4::text[]) with ordinality as m (slot, source, target, n) order by n
           on conflict (slot) where state not in ('done', 'aborted') do nothing
           returning id, slot`,
    values: [plan, moves.map(({ slot }) => slot), moves.map(({ source }) => source), moves.map(({ target }) => target), author],
  });
}

/** False where the move is not in a state to be paused or resumed. */
export async function setPaused(tx: Tx, { id, paused }: { readonly id: bigint; readonly paused: boolean }): Promise<boolean> {
  const rows = await tx.query({ name: 'move-pause', text: `update move set paused = $2 where id = $1 and state in ('planned', 'running') returning id`, values: [id, paused] });
  return rows.length === 1;
}

/**
 * Turns moves back: one of them, or all that a plan has open. What has not begun ends at once, what runs is to be undone
 * by the mover. One whose target is active already goes on, even if it rests: nobody else would wake it. The moves that
 * were turned back.
 */
export function abortMoves(tx: Tx, { id, plan }: { readonly id?: bigint; readonly plan?: bigint }): Promise<readonly { id: bigint; state: MoveState }[]> {
  return tx.query({
    name: 'move-abort',
    text: `with woken as (update move set paused = false where plan = $2 and state = 'running' and phase in ('activated', 'purging'))
           update move set
             state = case when state = 'planned' then 'aborted' else 'aborting' end,
             phase = case when state = 'planned' then 'aborted' else phase end,
             ended_at = case when state = 'planned' then now() end
           where (id = $1 or plan = $2) and state in ('planned', 'running') and phase not in ('activated', 'purging')
           returning id, state`,
    values: [id ?? null, plan ?? null],
  });
}
