/** The admin API of sagas, route by route. Any orchestrator answers, over all shards. */
import { Later, Refused, route, type Route } from '@millrace/admin';
import type { SagaRef } from '@millrace/domain';
import { NAMED_MAX } from '../limits.ts';
import { findSagas, viewSaga } from '../sagas/find.ts';
import { steer, type SteerInput, type Steering } from '../sagas/steer.ts';
import { noBody, sagaAnswer, sagaParameter, sagasAnswer, sagasQuery, steeredAnswer } from './schemas.ts';
import { listJson, sagaJson } from './views.ts';

export function routesOf(input: SteerInput): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/sagas',
      summary: 'Sagas that have not ended, the oldest first',
      description: 'Or those of a state. Each with the participants that it waits for, and why, where that can be told.',
      tag: 'sagas',
      status: 200,
      query: sagasQuery,
      answer: sagasAnswer,
      problems: [],
      handle: async ({ query: { state, kind, older_than: olderThan = 0, limit, after } }) => {
        const nowMs = Date.now();
        const behind = after?.ref && { startedMs: after.startedMs, ...after.ref };
        // The log's clock may be ahead of this one.
        const startedBeforeMs = olderThan === 0 ? Number.MAX_SAFE_INTEGER : nowMs - olderThan * 1000;
        return listJson(await findSagas(input, { states: state && [state], kind, startedBeforeMs, behind, limit, namedMax: NAMED_MAX }), nowMs);
      },
    }),
    route({
      method: 'get',
      path: '/v1/sagas/{id+}',
      summary: 'A saga: its parts, its history, and whom it waits for',
      tag: 'sagas',
      status: 200,
      parameters: sagaParameter,
      answer: sagaAnswer,
      problems: ['unknown_saga', 'shard_unavailable'],
      handle: async ({ parameters: { id } }) => sagaJson(await viewSaga(input, id), Date.now()),
    }),
    verb(input, 'retry', 'Send again what a saga waits for', 'As another attempt: participants answer by what they have done. Nothing is done twice.'),
    verb(input, 'cancel', 'Undo a saga that has not reached its pivot', 'Everything that it holds is given back.'),
  ];
}

function verb(input: SteerInput, how: Steering, summary: string, description: string): Route {
  return route({
    method: 'post',
    path: `/v1/sagas/{id+}/${how}`,
    summary,
    description,
    tag: 'sagas',
    status: 200,
    mayBeLater: true,
    parameters: sagaParameter,
    body: noBody,
    answer: steeredAnswer,
    problems: ['unknown_saga', 'already_ended', 'already_rejected', 'already_cancelled', 'too_late', 'saga_refused', 'shard_unavailable', 'kafka_unavailable', 'produce_unknown', 'too_many_requests', 'draining'],
    handle: async ({ parameters: { id }, signal }) => {
      const done = (await steer(input, id, { how, signal })) === 'done';
      const answer = { done, ...(await seen(input, id)) };
      return done ? answer : new Later(answer);
    },
  });
}

/** What was asked for stands, whether or not its shard still answers. */
async function seen(input: SteerInput, id: SagaRef) {
  try {
    return { saga: sagaJson(await viewSaga(input, id), Date.now()) };
  } catch (error) {
    if (error instanceof Refused) return {};
    throw error;
  }
}
