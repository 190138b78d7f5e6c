/** Plans: previewed, started, paused, resumed, aborted, reversed. */
import type { ProblemCode } from '@millrace/wire';
import type { ControlContext } from '../control/context.ts';
import type { DraftInput } from '../control/draft.ts';
import type { MemberChange } from '../control/members.ts';
import { abortPlan, pausePlan, previewPlan, resumePlan, startPlan } from '../control/plans.ts';
import { listPlans, readPlan, type PlanRecord } from '../control/plans.sql.ts';
import { Refused } from '@millrace/admin';
import { reversal } from '../control/reverse.ts';
import type { z } from 'zod';
import { route, type Route } from '@millrace/admin';
import type { RoutesInput } from './routes.ts';
import { idParameter, newPlanBody, noBody, planAnswer, plansAnswer, plansQuery } from './schemas.ts';
import { planJson, planSummaryJson } from './views.ts';

export function planRoutes(context: RoutesInput): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/plans',
      summary: 'Plans, newest first',
      tag: 'plans',
      status: 200,
      query: plansQuery,
      answer: plansAnswer,
      problems: [],
      handle: async ({ query: { limit } }) => ({ plans: (await listPlans(context.control, limit)).map(planSummaryJson) }),
    }),
    route({
      method: 'post',
      path: '/v1/plans',
      summary: 'Preview a plan',
      description: 'What would move, how much and how long, and what each shard carries afterwards, from the statistics of the shards. Changes nothing but that it can be started. A shard that is to join is looked at by the start: a preview does not need its address.',
      tag: 'plans',
      status: 201,
      body: newPlanBody,
      answer: planAnswer,
      problems: ['unknown_plan', 'plan_state', 'unknown_shard', 'last_shard', 'shard_draining', 'shard_unavailable'],
      handle: async ({ body }) => planJson(await previewPlan(context, await draftInput(context, body))),
    }),
    route({
      method: 'get',
      path: '/v1/plans/{id}',
      summary: 'A plan and how far it is',
      tag: 'plans',
      status: 200,
      parameters: idParameter,
      answer: planAnswer,
      problems: ['unknown_plan'],
      handle: async ({ parameters: { id } }) => {
        const plan = await readPlan(context.control, id);
        if (plan === undefined) throw new Refused('unknown_plan', `there is no plan ${id}`);
        return planJson(plan);
      },
    }),
    verb(context, { name: 'start', summary: 'Start a plan', work: startPlan, problems: ['plan_outdated', 'slot_moving', 'unknown_shard', 'foreign_shard', 'wrong_schema', 'shard_unavailable'] }),
    verb(context, { name: 'pause', summary: 'Start no more moves of a plan, and let those under way rest', work: pausePlan, problems: [] }),
    verb(context, { name: 'resume', summary: 'Go on with a paused plan', work: resumePlan, problems: [] }),
    verb(context, { name: 'abort', summary: 'Turn back what a plan has not moved yet, or drop a preview', work: abortPlan, problems: [] }),
  ];
}

interface Verb {
  readonly name: string;
  readonly summary: string;
  readonly work: (context: ControlContext, id: bigint) => Promise<PlanRecord>;
  readonly problems: readonly ProblemCode[];
}

function verb(context: RoutesInput, { name, summary, work, problems }: Verb): Route {
  return route({
    method: 'post',
    path: `/v1/plans/{id}/${name}`,
    summary,
    tag: 'plans',
    status: 202,
    parameters: idParameter,
    body: noBody,
    answer: planAnswer,
    problems: ['unknown_plan', 'plan_state', ...problems],
    handle: async ({ parameters: { id } }) => planJson(await work(context, id)),
  });
}

function draftInput(context: RoutesInput, { by, changes, reverse_of }: z.infer<typeof newPlanBody>): Promise<DraftInput> {
  if (reverse_of !== undefined) return reversal(context, reverse_of);
  return Promise.resolve({ by, changes: changes.map(given) });
}

function given({ shard, weight, state }: z.infer<typeof newPlanBody>['changes'][number]): MemberChange {
  return { shard, ...(weight === undefined ? {} : { weight }), ...(state === undefined ? {} : { state }) };
}
