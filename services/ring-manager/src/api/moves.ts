/** Moves: seen, asked for by hand, paused, resumed, aborted, verified. */
import type { ControlContext } from '../control/context.ts';
import { abortMove, pauseMove, requestMove, resumeMove, verifyMoveNow } from '../control/moves.ts';
import { listMoves, readMove, type MoveRecord } from '../control/moves.sql.ts';
import { Refused } from '@millrace/admin';
import { route, type Route } from '@millrace/admin';
import type { RoutesInput } from './routes.ts';
import { idParameter, moveAnswer, movesAnswer, movesQuery, newMoveBody, noBody, verifyAnswer } from './schemas.ts';
import { moveJson, verifyJson } from './views.ts';

export function moveRoutes(context: RoutesInput): readonly Route[] {
  let compares = false;

  /** Two would keep the connections that moves need. */
  async function compare(id: bigint, signal: AbortSignal) {
    if (compares) throw new Refused('too_many_requests', 'another comparison runs here: one at a time');
    compares = true;
    try {
      return verifyJson(await verifyMoveNow(context, id, signal));
    } finally {
      compares = false;
    }
  }

  return [
    route({
      method: 'get',
      path: '/v1/moves',
      summary: 'Moves, newest first',
      tag: 'moves',
      status: 200,
      query: movesQuery,
      answer: movesAnswer,
      problems: [],
      handle: async ({ query }) => ({ moves: (await listMoves(context.control, query)).map(moveJson) }),
    }),
    route({
      method: 'post',
      path: '/v1/moves',
      summary: 'Move one slot by hand',
      tag: 'moves',
      status: 202,
      body: newMoveBody,
      answer: moveAnswer,
      problems: ['unknown_shard', 'shard_draining', 'nothing_to_move', 'slot_moving'],
      handle: async ({ body }) => moveJson(await requestMove(context, body)),
    }),
    route({
      method: 'get',
      path: '/v1/moves/{id}',
      summary: 'A move and how far it is',
      tag: 'moves',
      status: 200,
      parameters: idParameter,
      answer: moveAnswer,
      problems: ['unknown_move'],
      handle: async ({ parameters: { id } }) => {
        const move = await readMove(context.control, id);
        if (move === undefined) throw new Refused('unknown_move', `there is no move ${id}`);
        return moveJson(move);
      },
    }),
    verb(context, { name: 'pause', summary: 'Let a move rest; past its fence it is finished first', work: pauseMove }),
    verb(context, { name: 'resume', summary: 'Go on with a paused move', work: resumeMove }),
    verb(context, { name: 'abort', summary: 'Turn a move back; possible until the target is active', work: abortMove }),
    route({
      method: 'post',
      path: '/v1/moves/{id}/verify',
      summary: 'Compare every row of both sides',
      description: 'Of a move under way: what is noted as changed since the copy is left out. One comparison at a time; it ends when its caller does not wait any more.',
      tag: 'moves',
      status: 200,
      parameters: idParameter,
      body: noBody,
      answer: verifyAnswer,
      problems: ['unknown_move', 'move_state', 'too_many_requests', 'shard_unavailable'],
      handle: ({ parameters: { id }, signal }) => compare(id, signal),
    }),
  ];
}

interface Verb {
  readonly name: string;
  readonly summary: string;
  readonly work: (context: ControlContext, id: bigint) => Promise<MoveRecord>;
}

function verb(context: RoutesInput, { name, summary, work }: Verb): Route {
  return route({
    method: 'post',
    path: `/v1/moves/{id}/${name}`,
    summary,
    tag: 'moves',
    status: 202,
    parameters: idParameter,
    body: noBody,
    answer: moveAnswer,
    problems: ['unknown_move', 'move_state'],
    handle: async ({ parameters: { id } }) => moveJson(await work(context, id)),
  });
}
