/** Shards join, change weight and state, are drained, and leave. */
import { drainShard } from '../control/plans.ts';
import { addShard, changeShard, removeShard, viewShards } from '../control/shards.ts';
import { route, type Route } from '@millrace/admin';
import type { RoutesInput } from './routes.ts';
import { changeShardBody, drainBody, newShardBody, planAnswer, shardAnswer, shardParameter, shardsAnswer } from './schemas.ts';
import { planJson, shardJson } from './views.ts';

export function shardRoutes(context: RoutesInput): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/v1/shards',
      summary: 'The members',
      tag: 'shards',
      status: 200,
      answer: shardsAnswer,
      problems: [],
      handle: async () => ({ shards: (await viewShards(context)).map(shardJson) }),
    }),
    route({
      method: 'post',
      path: '/v1/shards',
      summary: 'Add a shard',
      description:
        "Its address, a secret, is the entry of the same name in each service's shards file: put it there first. Its database is empty, or was this shard before. " +
        'It owns nothing until a plan gives it slots.',
      tag: 'shards',
      status: 201,
      body: newShardBody,
      answer: shardAnswer,
      problems: ['unknown_shard', 'shard_exists', 'foreign_shard', 'wrong_schema', 'shard_unavailable'],
      handle: async ({ body: { shard, weight } }) => shardJson(await addShard(context, { shard, ...(weight === undefined ? {} : { weight }) })),
    }),
    route({
      method: 'patch',
      path: '/v1/shards/{shard}',
      summary: 'Change the weight or the state of a shard',
      description: 'Moves nothing by itself: plans made afterwards heed it.',
      tag: 'shards',
      status: 200,
      parameters: shardParameter,
      body: changeShardBody,
      answer: shardAnswer,
      problems: ['unknown_shard', 'last_shard', 'slot_moving'],
      handle: async ({ parameters: { shard }, body: { weight, state } }) =>
        shardJson(await changeShard(context, { shard, ...(weight === undefined ? {} : { weight }), ...(state === undefined ? {} : { state }) })),
    }),
    route({
      method: 'delete',
      path: '/v1/shards/{shard}',
      summary: 'Remove a shard that owns nothing',
      tag: 'shards',
      status: 204,
      parameters: shardParameter,
      problems: ['unknown_shard', 'last_shard', 'moves_open', 'shard_owns_slots'],
      handle: ({ parameters: { shard } }) => removeShard(context, shard).then(() => undefined),
    }),
    route({
      method: 'post',
      path: '/v1/shards/{shard}/drain',
      summary: 'Move every slot away from a shard',
      description: 'Marks it as draining, makes a plan and starts it, all or nothing. A drained shard stays a member until it is removed.',
      tag: 'shards',
      status: 202,
      parameters: shardParameter,
      body: drainBody,
      answer: planAnswer,
      problems: ['unknown_shard', 'last_shard', 'slot_moving', 'plan_outdated', 'shard_unavailable'],
      handle: async ({ parameters: { shard }, body: { by } }) => planJson(await drainShard(context, { shard, by })),
    }),
  ];
}
