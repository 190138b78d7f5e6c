/** What the leader writes of a move: each within a transaction under its lease, each only from the state it expects. */
import type { Tx } from '@millrace/postgres';
import { toJson } from '@millrace/wire';
import type { MovePhase, MoveProgress } from '../move/types.ts';

/** False where it was aborted or paused meanwhile. */
export async function beginMove(tx: Tx, id: bigint): Promise<boolean> {
  const rows = await tx.query({
    name: 'move-begin',
    text: `update move set state = 'running', started_at = now()
           where id = $1 and state = 'planned' and not paused and (plan is null or plan in (select p.id from plan p where p.state = 'running'))
           returning id`,
    values: [id],
  });
  return rows.length === 1;
}

export async function noteProgress(tx: Tx, { id, phase, progress }: { readonly id: bigint; readonly phase: MovePhase; readonly progress: Partial<MoveProgress> }): Promise<void> {
  await tx.query({
    name: 'move-progress',
    text: `update move set phase = $2, progress = progress || $3::jsonb where id = $1 and state in ('running', 'aborting')`,
    values: [id, phase, toJson(progress)],
  });
}

export async function endMove(tx: Tx, { id, as }: { readonly id: bigint; readonly as: 'done' | 'aborted' }): Promise<boolean> {
  const rows = await tx.query({
    name: 'move-end',
    text: `update move set state = $2, phase = $2, paused = false, ended_at = now(), error = case when $2 = 'done' then null else error end where id = $1 and state in ('running', 'aborting') returning id`,
    values: [id, as],
  });
  return rows.length === 1;
}

/** The copy is not to be used: the move is to be undone. */
export async function turnBack(tx: Tx, { id, error }: { readonly id: bigint; readonly error: string }): Promise<boolean> {
  const rows = await tx.query({
    name: 'move-turn-back',
    text: `update move set state = 'aborting', error = $2 where id = $1 and state in ('running', 'aborting') returning id`,
    values: [id, error],
  });
  return rows.length === 1;
}

/** Why the move does not get on now; null once it is tried again. Why a move is turned back stays. */
export async function noteError(tx: Tx, { id, error }: { readonly id: bigint; readonly error: string | null }): Promise<void> {
  await tx.query({
    name: 'move-error',
    text: `update move set error = case when state = 'aborting' then coalesce(error, $2) else $2 end where id = $1 and state in ('planned', 'running', 'aborting')`,
    values: [id, error],
  });
}

/** 0 where there is none. */
export async function newestEpoch(control: Pick<Tx, 'query'>): Promise<number> {
  const rows = await control.query<{ epoch: bigint }>({ name: 'topology-newest-epoch', text: 'select coalesce(max(epoch), 0) as epoch from topology' });
  return Number(rows[0]?.epoch ?? 0n);
}

/** Whether a plan may have ended, or a member joined. */
export async function hasLooseEnds(control: Pick<Tx, 'query'>): Promise<boolean> {
  const rows = await control.query<{ found: boolean }>({
    name: 'ring-loose-ends',
    text: `select exists (select from plan where state in ('running', 'paused', 'aborting')) or exists (select from member where state = 'joining') as found`,
  });
  return rows[0]?.found === true;
}
