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
  readonly moves: readonly PlannedMove[];
  readonly load: readonly ShardLoad[];
  /** Largest load by weight over the mean; 1 is even. */
  readonly balance: number;
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

const COLUMNS = `p.id, p.state, p.by, p.base_epoch as "baseEpoch", p.reverse_of as "reverseOf", p.content,
  p.created_at as "createdAt", p.started_at as "startedAt", p.ended_at as "endedAt",
  (select jsonb_build_object(
     'moves', count(*), 'done', count(*) filter (where m.state = 'done'), 'aborted', count(*) filter (where m.state = 'aborted'),
     'rows', coalesce(sum((m.progress ->> 'rows')::numeric), 0), 'bytes', coalesce(sum((m.progress ->> 'bytes')::numeric), 0))
   from move m where m.plan = p.id) as progress`;

/** Newest first. */
export function listPlans(control: Pick<Tx, 'query'>, limit: number): Promise<readonly PlanRecord[]> {
  return control.query({ name: 'plan-list', text: `select ${COLUMNS} from plan p order by p.id desc limit $1`, values: [limit] });
}

export async function readPlan(control: Pick<Tx, 'query'>, id: bigint): Promise<PlanRecord | undefined> {
  const rows = await control.query<PlanRecord>({ name: 'plan-read', text: `select ${COLUMNS} from plan p where p.id = $1`, values: [id] });
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

/** Ends the plans whose moves have all ended: `done` where each of them is, else `aborted`. */
export function endPlans(tx: Tx): Promise<readonly { id: bigint; state: PlanState }[]> {
  return tx.query({
    name: 'plan-end',
    text: `update plan set ended_at = now(),
             state = case when state = 'aborting' or exists (select from move where move.plan = plan.id and move.state = 'aborted') then 'aborted' else 'done' end
           where state in ('running', 'paused', 'aborting')
             and not exists (select from move where move.plan = plan.id and move.state not in ('done', 'aborted'))
           returning id, state`,
  });
}
