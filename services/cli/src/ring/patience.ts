/** What is begun is finished though the ring-manager is started again meanwhile: for requests that may be repeated. */
import { retry } from '@millrace/runtime';

import type { AdminClient } from './admin-client.ts';
import type { Plan } from './admin-schema.ts';
import { isPassing, isProblem } from '../api/api-error.ts';

/** About half a minute: a ring-manager that was killed is back by then, or another one answers. */
const PATIENCE = { baseMs: 500, maxMs: 2_000, attemptsMax: 30, retryable: isPassing };

export async function patiently<T>(work: () => Promise<T>): Promise<T> {
  return await retry(work, { ...PATIENCE, signal: new AbortController().signal });
}

/** A start whose answer was lost may have taken place: the state of the plan tells. @throws ApiProblem, ApiSilent */
export async function startPatiently(admin: Pick<AdminClient, 'startPlan' | 'plan'>, id: string): Promise<Plan> {
  let isFirst = true;
  return await patiently(async () => {
    if (!isFirst) {
      const plan = await admin.plan(id);
      if (plan.state !== 'preview') return plan;
    }
    isFirst = false;
    return await admin.startPlan(id);
  });
}

/** A shard that is gone already was taken out by the attempt whose answer was lost. @throws ApiProblem, ApiSilent */
export async function deletePatiently(admin: Pick<AdminClient, 'deleteShard'>, shard: string): Promise<void> {
  let isFirst = true;
  await patiently(async () => {
    const mayBeGone = !isFirst;
    isFirst = false;
    await admin.deleteShard(shard).catch((error: unknown) => {
      if (!(mayBeGone && isProblem(error, 'unknown_shard'))) throw error;
    });
  });
}
