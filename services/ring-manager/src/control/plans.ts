/** Plans: previewed, started, paused, turned back. What a plan moves is the engine's work. */
import { readTopology } from '@millrace/topology';
import type { Tx } from '@millrace/postgres';
import { must, type ShardId } from '@millrace/write';
import { admit } from './admit.ts';
import { ADMIN, audit, changing } from './change.ts';
import type { ControlContext } from './context.ts';
import { digestOf, draftPlan, sameMembers, withOpenMoves, type DraftInput } from './draft.ts';
import { applyChanges, joiningBy } from './members.ts';
import { listMembers, writeMember } from './members.sql.ts';
import { abortMoves, insertMoves, openMoves } from './moves.sql.ts';
import { dropOldPreviews, insertPlan, readPlan, turnPlan, type LoadBy, type PlanContent, type PlanDraft, type PlanRecord, type PlanState } from './plans.sql.ts';
import { Refused } from '@millrace/admin';

/** How often a drain is planned anew because something changed in between. */
const DRAIN_ATTEMPTS = 5;

/** A plan that moves nothing yet. @throws Refused, PgError */
export async function previewPlan(context: ControlContext, input: DraftInput): Promise<PlanRecord> {
  const draft = await draftPlan(context, input);
  const id = await changing(context.control, (tx) => storePreview(tx, draft));
  return known(await readPlan(context.control, id), id);
}

/** @throws Refused unknown_plan, plan_state, plan_outdated, slot_moving, and what a joining shard is refused for. */
export async function startPlan(context: ControlContext, id: bigint): Promise<PlanRecord> {
  const plan = known(await readPlan(context.control, id), id);
  refuseState(plan, ['preview']);
  for (const shard of joiningBy(plan.content.members, plan.content.changes)) await admit(context, shard);
  await changing(context.control, async (tx) => startIn(tx, known(await readPlan(tx, id), id)));
  return known(await readPlan(context.control, id), id);
}

/** Empties a shard: marks it, plans and starts, all or nothing. @throws Refused unknown_shard, last_shard, slot_moving */
export async function drainShard(context: ControlContext, { shard, by }: { readonly shard: ShardId; readonly by: LoadBy }): Promise<PlanRecord> {
  const { control } = context;
  if (!(await listMembers(control)).some((member) => member.shard === shard)) throw new Refused('unknown_shard', `shard ${shard} is not a member`);
  for (let attempt = 1; ; attempt += 1) {
    const draft = await draftPlan(context, { by, changes: [{ shard, state: 'draining' }] });
    try {
      const id = await changing(control, async (tx) => {
        const stored = await storePreview(tx, draft);
        await startIn(tx, known(await readPlan(tx, stored), stored));
        await audit(tx, { actor: ADMIN, action: 'shard.drain', subject: `shard ${shard}`, detail: { plan: stored } });
        return stored;
      });
      return known(await readPlan(control, id), id);
    } catch (error) {
      if (!(error instanceof Refused && error.problem === 'plan_outdated') || attempt === DRAIN_ATTEMPTS) throw error;
    }
  }
}

/** A paused plan starts no move; a move that is past its fence is finished first. */
export function pausePlan(context: ControlContext, id: bigint): Promise<PlanRecord> {
  return turn(context, { id, from: ['running'], to: 'paused', action: 'plan.pause' });
}

export function resumePlan(context: ControlContext, id: bigint): Promise<PlanRecord> {
  return turn(context, { id, from: ['paused'], to: 'running', action: 'plan.resume' });
}

/** Turns back what is open; what has moved stays moved, and members stay as the start has made them. A preview is dropped. */
export async function abortPlan(context: ControlContext, id: bigint): Promise<PlanRecord> {
  const plan = known(await readPlan(context.control, id), id);
  if (plan.state === 'preview') return turn(context, { id, from: ['preview'], to: 'aborted', action: 'plan.drop' });
  return turn(context, { id, from: ['running', 'paused'], to: 'aborting', action: 'plan.abort' });
}

interface Turn {
  readonly id: bigint;
  readonly from: readonly PlanState[];
  readonly to: PlanState;
  readonly action: string;
}

async function turn({ control }: ControlContext, { id, from, to, action }: Turn): Promise<PlanRecord> {
  await changing(control, async (tx) => {
    const plan = known(await readPlan(tx, id), id);
    if (!(await turnPlan(tx, { id, from, to }))) refuseState(plan, from);
    if (to === 'aborting') await abortMoves(tx, { plan: id });
    await audit(tx, { actor: ADMIN, action, subject: `plan ${id}` });
  });
  return known(await readPlan(control, id), id);
}

async function storePreview(tx: Tx, draft: PlanDraft): Promise<bigint> {
  await dropOldPreviews(tx);
  const id = await insertPlan(tx, { draft, author: ADMIN });
  await audit(tx, { actor: ADMIN, action: 'plan.preview', subject: `plan ${id}`, detail: { by: draft.by, moves: draft.content.moves.length, reverseOf: draft.reverseOf } });
  return id;
}

/** R3: what the plan was computed from holds, other plans that go on as they did included, and none of its slots is on its way. */
async function startIn(tx: Tx, plan: PlanRecord): Promise<void> {
  const { id, content } = plan;
  refuseState(plan, ['preview']);
  if (!sameMembers(await listMembers(tx), content.members)) throw new Refused('plan_outdated', `the members are not those that plan ${id} was made for`);
  const settled = digestOf(withOpenMoves(must(await readTopology(tx), 'a plan was made for a topology'), await openMoves(tx)));
  const after = applyChanges(content.members, content.changes);
  for (const { shard } of content.changes) await writeMember(tx, must(after.find((member) => member.shard === shard), 'a change has its member'));
  await refuseArrivals(tx, after.filter(({ state }) => state === 'draining').map(({ shard }) => shard));
  await insertAll(tx, plan);
  if (settled !== content.owners) throw new Refused('plan_outdated', `slots are, or will be, on other shards than plan ${id} was made for`);
  await refuseAstray(tx, plan);
  if (!(await turnPlan(tx, { id, from: ['preview'], to: 'running' }))) refuseState(plan, ['preview']);
  await audit(tx, { actor: ADMIN, action: 'plan.start', subject: `plan ${id}`, detail: { moves: content.moves.length, changes: content.changes } });
}

/** The way back of a plan is read before its draft: a slot may have moved in between. */
async function refuseAstray(tx: Tx, { content }: PlanRecord): Promise<void> {
  const { owners } = must(await readTopology(tx), 'a plan was made for a topology');
  const astray = content.moves.find(({ slot, source }) => owners[slot] !== source);
  if (astray !== undefined) throw new Refused('plan_outdated', `slot ${astray.slot} is not on shard ${astray.source}`);
}

/** What is on its way to a shard that is to be emptied would stay there. */
export async function refuseArrivals(tx: Tx, draining: readonly ShardId[]): Promise<void> {
  const arriving = (await openMoves(tx)).filter(({ state, target }) => state !== 'aborting' && draining.includes(target));
  if (arriving.length > 0) throw new Refused('slot_moving', `${arriving.length} slots are on their way to a shard that is to be emptied`, { slots: slotList(arriving) });
}

async function insertAll(tx: Tx, { id, content }: { readonly id: bigint; readonly content: PlanContent }): Promise<void> {
  const made = new Set((await insertMoves(tx, { plan: id, moves: content.moves, author: ADMIN })).map(({ slot }) => slot));
  const moving = content.moves.filter(({ slot }) => !made.has(slot));
  if (moving.length > 0) throw new Refused('slot_moving', `${moving.length} slots of plan ${id} are moving already`, { slots: slotList(moving) });
}

const SLOTS_NAMED = 20;

function slotList(moves: readonly { readonly slot: number }[]): readonly number[] {
  return moves.slice(0, SLOTS_NAMED).map(({ slot }) => slot);
}

function refuseState({ id, state }: PlanRecord, allowed: readonly PlanState[]): void {
  if (!allowed.includes(state)) throw new Refused('plan_state', `plan ${id} is ${state}, not ${allowed.join(' or ')}`, { state });
}

function known(plan: PlanRecord | undefined, id: bigint): PlanRecord {
  if (plan === undefined) throw new Refused('unknown_plan', `there is no plan ${id}`);
  return plan;
}
