/** The way back of a plan: its moves the other way round, and its members as they were. */
import type { Topology } from '@millrace/ring';
import { readTopology } from '@millrace/topology';
import { must } from '@millrace/write';
import type { ControlContext } from './context.ts';
import type { DraftInput } from './draft.ts';
import type { MemberChange } from './members.ts';
import { listMembers } from './members.sql.ts';
import { listMoves, type MoveRecord } from './moves.sql.ts';
import { readPlan, type PlanContent } from './plans.sql.ts';
import { Refused } from '@millrace/admin';

/** More than a cluster has slots. */
const MOVES_MAX = 5_000;

/** What undoes an ended plan. Slots that have moved on since stay where they are. @throws Refused unknown_plan, plan_state, unknown_shard */
export async function reversal({ control }: Pick<ControlContext, 'control'>, id: bigint): Promise<DraftInput> {
  const plan = await readPlan(control, id);
  if (plan === undefined) throw new Refused('unknown_plan', `there is no plan ${id}`);
  if (plan.state !== 'done' && plan.state !== 'aborted') throw new Refused('plan_state', `plan ${id} is ${plan.state}: only an ended plan can be reversed`);
  if (plan.startedAt === null) throw new Refused('plan_state', `plan ${id} was never started: there is nothing to go back from`, { state: plan.state });
  const [made, topology, members] = await Promise.all([listMoves(control, { plan: id, limit: MOVES_MAX }), readTopology(control), listMembers(control)]);
  const moves = back(made, must(topology, 'a plan was made for a topology'));
  const gone = moves.find(({ target }) => !members.some(({ shard }) => shard === target));
  if (gone !== undefined) throw new Refused('unknown_shard', `slot ${gone.slot} came from shard ${gone.target}, which is not a member any more`);
  const changes = undone(plan.content).filter(({ shard }) => members.some((member) => member.shard === shard));
  return { by: plan.by, changes, moves, reverseOf: id };
}

function back(made: readonly MoveRecord[], { owners }: Topology) {
  return made
    .filter(({ state, slot, target }) => state === 'done' && owners[slot] === target)
    .map(({ slot, source, target }) => ({ slot, source: target, target: source }))
    .sort((a, b) => a.slot - b.slot);
}

/** Who joined by the plan is to be emptied for good; everybody else gets the weight and the state of before. */
function undone({ changes, members }: PlanContent): readonly MemberChange[] {
  return changes.map(({ shard }) => {
    const before = members.find((member) => member.shard === shard);
    if (before === undefined) return { shard, state: 'draining' };
    return { shard, weight: before.weight, state: before.state === 'draining' ? 'draining' : 'active' };
  });
}
