/** The plans of the control database: a preview as it was computed, and what has become of it. */
import type { Tx } from '@millrace/postgres';
import type { Member, SlotMove } from '@millrace/ring';
import { toJson } from '@millrace/wire';
import { must, type Epoch, type ShardId } from '@millrace/write';
import type { MemberChange } from './members.ts';

export type PlanState = 'preview' | 'running' | 'paused' | 'done' | 'aborting' | 'aborted';
/** What the load of a slot is: one each, the bytes of its rows, or the records written to it in a second. */
export type LoadBy = 'slots' | 'bytes' | 'rate';

export interface PlannedMove extends SlotMove {
  readonly rows: number;
  readonly bytes: number;
}

export interface ShardLoad {
  readonly shard: ShardId;
  readonly weight: number;
  readonly before: number;
  readonly after: number;
}

/** As it is stored. */
export interface PlanContent {
  readonly changes: readonly MemberChange[];
  /** The members before the changes, for the start to compare. */
  readonly members: readonly Member[];
  /** A digest of the owners by slot, as the moves that were open then leave them: for the start to compare. */
  readonly owners: string;
  readonly moves: readonly PlannedMove[];
  readonly load: readonly ShardLoad[];
  /** Largest load over its share; 1 is even. */
  readonly balance: number;
  /** No placement of whole slots has a lower balance. */
  readonly bound: number;
  /** What it was computed without. */
  readonly note?: string;
  readonly estimate: { readonly seconds: number; readonly stall_ms: number; readonly rows: number; readonly bytes: number };
}

export interface PlanDraft {
  readonly by: LoadBy;
  readonly baseEpoch: Epoch;
  readonly reverseOf: bigint | undefined;
  readonly content: PlanContent;
}

export interface PlanRecord {
  readonly id: bigint;
  readonly state: PlanState;
  readonly by: LoadBy;
  readonly baseEpoch: bigint;
  readonly reverseOf: bigint | null;
  readonly content: PlanContent;
  readonly createdAt: Date;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
  /** Of its moves, none before the start. */
  readonly progress: { readonly moves: number; readonly done: number; readonly aborted: number; readonly rows: number; readonly bytes: number };
}

/** Without what makes it long. */
export interface PlanSummary extends Omit<PlanRecord, 'content'> {
  readonly content: Omit<PlanContent, 'members' | 'owners' | 'moves'>;
  /** How many moves it is of. */
  readonly planned: number;
}

const COLUMNS = `p.id, p.state, p.by, p.base_epoch as "baseEpoch", p.reverse_of as "reverseOf",
  p.created_at as "createdAt", p.started_at as "startedAt", p.ended_at as "endedAt",
  (select jsonb_build_object(
     'moves', count(*), 'done', count(*) filter (where m.state = 'done'), 'aborted', count(*) filter (where m.state = 'aborted'),
     'rows', coalesce(sum((m.progress ->> 'rows')::numeric), 0), 'bytes', coalesce(sum((m.progress ->> 'bytes')::numeric), 0))
   from move m where m.plan = p.id) as progress`;

/** Newest first. */
export function listPlans(control: Pick<Tx, 'query'>, limit: number): Promise<readonly PlanSummary[]> {
  return control.query({
    name: 'plan-list',
    text: `select ${COLUMNS}, p.content - 'members' - 'owners' - 'moves' as content, coalesce(jsonb_array_length(p.content -> 'moves'), 0) as planned from plan p order by p.id desc limit $1`,
    values: [limit],
  });
}

export async function readPlan(control: Pick<Tx, 'query'>, id: bigint): Promise<PlanRecord | undefined> {
  const rows = await control.query<PlanRecord>({ name: 'plan-read', text: `select ${COLUMNS}, p.content from plan p where p.id = $1`, values: [id] });
  return rows[0];
}

export async function insertPlan(tx: Tx, { draft, author }: { readonly draft: PlanDraft; readonly author: string }): Promise<bigint> {
  const rows = await tx.query<{ id: bigint }>({
    name: 'plan-insert',
    text: `insert into plan (state, base_epoch, by, content, reverse_of, created_by) values ('preview', $1, $2, $3, $4, $5) returning id`,
    values: [draft.baseEpoch, draft.by, toJson(draft.content), draft.reverseOf ?? null, author],
  });
  return must(rows[0], 'an insert without a condition has one row').id;
}

/** Nobody starts what was computed so long ago. */
const PREVIEW_KEPT = '1 day';

export async function dropOldPreviews(tx: Tx): Promise<void> {
  await tx.query({ name: 'plan-drop', text: `delete from plan where state = 'preview' and created_at < now() - $1::interval`, values: [PREVIEW_KEPT] });
}

/** False where the plan is in none of the states `from`: nothing is changed. */
export async function turnPlan(tx: Tx, { id, from, to }: { readonly id: bigint; readonly from: readonly PlanState[]; readonly to: PlanState }): Promise<boolean> {
  const rows = await tx.query({
    name: 'plan-turn',
    text: `update plan set state = $3,
             started_at = case when $3 = 'running' then coalesce(started_at, now()) else started_at end,
             ended_at = case when $3 in ('done', 'aborted') then now() end
           where id = $1 and state = any ($2) returning id`,
    values: [id, from, to],
  });
  return rows.length === 1;
}

/**
 * Ends the plans whose moves have all ended: `done` where each of them is, else `aborted`. A shard that an aborted plan
 * was to empty is `kept`, as it was before, if the plan has moved nothing and nobody has changed the shard since.
 */
export function endPlans(tx: Tx): Promise<readonly { id: bigint; state: PlanState; kept: readonly ShardId[] }[]> {
  return tx.query({
    name: 'plan-end',
    text: `with ended as (
           update plan set ended_at = now(),
             state = case when state = 'aborting' or exists (select from move where move.plan = plan.id and move.state = 'aborted') then 'aborted' else 'done' end
           where state in ('running', 'paused', 'aborting')
             and not exists (select from move where move.plan = plan.id and move.state not in ('done', 'aborted'))
           returning id, state, content, started_at
           ), kept as (
           update member set state = was ->> 'state', changed_at = now()
           from ended, jsonb_array_elements(content -> 'changes') change, jsonb_array_elements(content -> 'members') was
           where ended.state = 'aborted' and change ->> 'state' = 'draining' and change ->> 'shard' = shard and was ->> 'shard' = shard
             -- The start of a plan and its change of the member are of one time.
             and member.state = 'draining' and was ->> 'state' in ('joining', 'active') and changed_at = started_at
             and not exists (select from move where move.plan = ended.id and move.state = 'done')
             and not exists (select from plan other where other.id not in (select id from ended) and other.state in ('running', 'paused', 'aborting')
                               and other.content -> 'changes' @> jsonb_build_array(jsonb_build_object('shard', shard, 'state', 'draining')))
           returning ended.id as plan, shard
           )
           select id, state, array(select shard from kept where kept.plan = ended.id) as kept from ended`,
  });
}
