/** Makes a plan, starts it, and waits for its end unless told not to: what `add`, `weight`, `drain` and `start` share. */
import { listenForStop } from '../stop-signal.ts';
import type { PlanWish } from './admin-client.ts';
import { isOver, type Member, type Move, type Plan, type PlanSummary } from './admin-schema.ts';
import { isProblem } from '../api/api-error.ts';
import { followPlan } from './follow.ts';
import { summaryOf, summaryText } from './moves-summary.ts';
import { patiently, startPatiently } from './patience.ts';
import { planText } from './plan-view.ts';
import type { RingContext } from './ring-context.ts';

/** Other moves may end, and so change the topology, between a plan and its start. */
const ATTEMPTS_MAX = 5;
/** As a shell has it for a command that Ctrl-C has ended. */
export const DETACHED_EXIT_CODE = 130;

/** The plan, started: the one that was made for this wish, or a new one where that is outdated. @throws ApiProblem */
export async function startNewPlan({ admin }: RingContext, wish: PlanWish, made?: Plan): Promise<Plan> {
  let plan = made;
  for (let attempt = 1; ; attempt += 1) {
    plan ??= await admin.makePlan(wish);
    try {
      return await startPatiently(admin, plan.id);
    } catch (error) {
      if (attempt === ATTEMPTS_MAX || !isProblem(error, 'plan_outdated')) throw error;
      plan = undefined;
    }
  }
}

export interface Ended {
  readonly plan: Plan;
  readonly moves: readonly Move[];
}

export interface Waiting {
  readonly detach?: boolean | undefined;
  /** What the user does when the plan has ended without this command. */
  readonly then?: string;
}

/** Waits for the end of a plan that runs. Undefined where the user did not want to; they know then how to go on. */
export async function waitForPlan(context: RingContext, plan: Plan, { detach = false, then }: Waiting): Promise<Ended | undefined> {
  const { admin, output } = context;
  output.say(planText(plan));
  const stop = listenForStop(() => undefined);
  const ended = detach ? undefined : await followPlan({ admin, output, signal: stop.signal }, plan.id);
  output.settle();
  if (ended !== undefined) return ended;
  if (!detach) process.exitCode = DETACHED_EXIT_CODE;
  output.result(detachedText(plan, then), { plan, detached: true });
  return undefined;
}

/** The plan under way that makes a change of this kind. */
export async function openPlanWith({ admin }: RingContext, isMade: (change: PlanSummary['changes'][number]) => boolean): Promise<Plan | undefined> {
  const open = (await admin.plans()).find((plan) => !isOver(plan) && plan.state !== 'preview' && plan.changes.some(isMade));
  return open === undefined ? undefined : await admin.plan(open.id);
}

/** The end of a plan, for the user; the exit code tells whether all of it was done. */
export async function reportEnd({ admin, output }: RingContext, { plan, moves }: Ended, more?: { readonly text: string; readonly value: Readonly<Record<string, unknown>> }): Promise<void> {
  const summary = summaryOf(moves);
  const lines = [`plan ${plan.id} is ${plan.state}`, summaryText(summary), ...(more === undefined ? [] : [more.text])];
  if (plan.state === 'aborted' && summary.slots_moved > 0) lines.push(`what has moved stays where it is; millrace ring start --reverse ${plan.id} takes it back`);
  if (plan.state === 'aborted') lines.push(...(await patiently(() => admin.shards())).flatMap(halfwayText));
  output.result(lines.join('\n'), { plan, summary, ...more?.value });
  if (plan.state !== 'done') process.exitCode = 1;
}

/** A member that is neither in nor out, and how to go on or back. */
function halfwayText({ shard, state }: Member): readonly string[] {
  if (state === 'draining') return [`shard ${shard} is still draining: millrace ring drain ${shard} goes on, millrace ring add ${shard} keeps it`];
  if (state === 'joining') return [`shard ${shard} is still joining: millrace ring add ${shard} goes on, millrace ring remove ${shard} takes it out`];
  return [];
}

function detachedText({ id }: Plan, then?: string): string {
  return [
    `plan ${id} goes on by itself:`,
    '  millrace ring status --watch   shows how far it is',
    `  millrace ring pause ${id}          holds it; resume ${id} lets it go on`,
    `  millrace ring abort ${id}          turns back what has not moved yet`,
    ...(then === undefined ? [] : [`  ${then}`]),
  ].join('\n');
}
