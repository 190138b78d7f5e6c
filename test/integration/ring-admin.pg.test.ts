/** The admin API of the ring-manager: what it refuses, and that a refusal changes nothing; and how it describes itself. */
import { writeFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { createDatabase } from '@millrace/postgres';
import { ForeignShard, prepareShard } from '@millrace/slot-processor';
import type { ShardId } from '@millrace/write';
import { CONTROL_POOL } from '../../services/ring-manager/src/limits.ts';
import { A, admin, B, byHand, cleanups, cluster, contents, first, log, serve, shards, shardsFile, SLOTS, slotsOn, tablesOf, useControl, withDatabase, writeShards } from './ring-control.ts';

useControl();

describe('a bad request changes nothing', () => {
  interface Bad {
    readonly request: readonly [method: string, path: string, body?: unknown];
    readonly status: number;
    readonly code: string;
    readonly given?: () => Promise<unknown>;
  }
  const another = { clusterId: '00000000-0000-4000-8000-000000000000', slots: SLOTS };
  const foreign = (): Promise<unknown> => withDatabase('shard_c', (database) => prepareShard({ database, identity: { ...another, shard: 'c' as ShardId }, log }));
  const newer = (): Promise<unknown> =>
    withDatabase('shard_c', async (database) => {
      await prepareShard({ database, identity: { clusterId: cluster.id, shard: 'c' as ShardId, slots: SLOTS }, log });
      await database.query({ text: `insert into migration (id, checksum) values ('core-9001', 'x')` });
    });
  const changedMigration = (): Promise<unknown> =>
    withDatabase('shard_c', async (database) => {
      await prepareShard({ database, identity: { clusterId: cluster.id, shard: 'c' as ShardId, slots: SLOTS }, log });
      await database.query({ text: `update migration set checksum = 'x' where id = 'core-0001'` });
    });
  const join = (shard: string) => ['POST', '/v1/shards', { shard }] as const;

  const bad: Record<string, Bad> = {
    'a shard without an address': { request: join('d'), status: 404, code: 'unknown_shard' },
    'a shard that is a member': { request: join('a'), status: 409, code: 'shard_exists' },
    "a shard whose database holds another cluster's rows": { request: join('c'), status: 409, code: 'foreign_shard', given: foreign },
    'a shard whose database is another shard': { request: join('c'), status: 409, code: 'foreign_shard', given: async () => writeShards({ a: 'shard_a', b: 'shard_b', c: 'shard_b' }) },
    'a shard whose schema is of a newer version': { request: join('c'), status: 409, code: 'wrong_schema', given: newer },
    'a shard whose schema is not what its name says': { request: join('c'), status: 409, code: 'wrong_schema', given: changedMigration },
    'a shard whose database is the control database': { request: join('c'), status: 409, code: 'wrong_schema', given: async () => writeShards({ a: 'shard_a', b: 'shard_b', c: 'control' }) },
    'a shard whose database holds something else': { request: join('c'), status: 409, code: 'wrong_schema', given: () => withDatabase('shard_c', (database) => database.query({ text: 'create table invoice (id int)' })) },
    'a shard that does not answer': { request: join('c'), status: 503, code: 'shard_unavailable', given: async () => writeShards({ a: 'shard_a', b: 'shard_b', c: 'postgres://nobody@127.0.0.1:1/none' }) },
    'a shard id that is none': { request: join('C c'), status: 400, code: 'invalid_body' },
    'an address in the body': { request: ['POST', '/v1/shards', { shard: 'c', url: 'postgres://x' }], status: 400, code: 'invalid_body' },
    'a weight of nothing': { request: ['POST', '/v1/shards', { shard: 'c', weight: 0 }], status: 400, code: 'invalid_body' },
    'a change of no member': { request: ['PATCH', '/v1/shards/c', { weight: 2 }], status: 404, code: 'unknown_shard' },
    'a change of nothing': { request: ['PATCH', '/v1/shards/a', {}], status: 400, code: 'invalid_body' },
    'a state that nobody may wish for': { request: ['PATCH', '/v1/shards/a', { state: 'gone' }], status: 400, code: 'invalid_body' },
    'the removal of no member': { request: ['DELETE', '/v1/shards/c'], status: 404, code: 'unknown_shard' },
    'the removal of a shard that owns slots': { request: ['DELETE', '/v1/shards/a'], status: 409, code: 'shard_owns_slots' },
    'the removal of a shard with open moves': { request: ['DELETE', '/v1/shards/b'], status: 409, code: 'moves_open', given: () => byHand(slotsOn(first, A)[0]!) },
    'the removal of the last one': { request: ['DELETE', '/v1/shards/a'], status: 409, code: 'last_shard', given: () => admin.call('PATCH', '/v1/shards/b', { state: 'draining' }) },
    'the drain of the last one': { request: ['POST', '/v1/shards/a/drain'], status: 409, code: 'last_shard', given: () => admin.call('PATCH', '/v1/shards/b', { state: 'draining' }) },
    'the draining state of the last one': { request: ['PATCH', '/v1/shards/a', { state: 'draining' }], status: 409, code: 'last_shard', given: () => admin.call('PATCH', '/v1/shards/b', { state: 'draining' }) },
    'the drain of no member': { request: ['POST', '/v1/shards/c/drain'], status: 404, code: 'unknown_shard' },
    'the drain of a shard whose slots move': { request: ['POST', '/v1/shards/b/drain'], status: 409, code: 'slot_moving', given: () => byHand(slotsOn(first, A)[0]!) },
    'the start of a plan with a shard without an address': { request: ['POST', '/v1/plans/1/start'], status: 404, code: 'unknown_shard', given: () => admin.call('POST', '/v1/plans', { changes: [{ shard: 'd' }] }) },
    "the start of a plan with another cluster's shard": { request: ['POST', '/v1/plans/1/start'], status: 409, code: 'foreign_shard', given: () => foreign().then(() => admin.call('POST', '/v1/plans', { changes: [{ shard: 'c' }] })) },
    'a plan that drains no member': { request: ['POST', '/v1/plans', { changes: [{ shard: 'd', state: 'draining' }] }], status: 404, code: 'unknown_shard' },
    'a shard while the shards file is half written': { request: join('c'), status: 503, code: 'shard_unavailable', given: async () => writeFileSync(shardsFile, '{"a":"postgres://u:secret@h/') },
    'the draining state of a shard whose slots come': { request: ['PATCH', '/v1/shards/b', { state: 'draining' }], status: 409, code: 'slot_moving', given: () => byHand(slotsOn(first, A)[0]!) },
    'a plan that drains everybody': { request: ['POST', '/v1/plans', { changes: [{ shard: 'a', state: 'draining' }, { shard: 'b', state: 'draining' }] }], status: 409, code: 'last_shard' },
    'a plan that names a shard twice': { request: ['POST', '/v1/plans', { changes: [{ shard: 'a', weight: 2 }, { shard: 'a', weight: 3 }] }], status: 400, code: 'invalid_body' },
    'a plan by something else': { request: ['POST', '/v1/plans', { by: 'luck' }], status: 400, code: 'invalid_body' },
    'a reversal with changes': { request: ['POST', '/v1/plans', { reverse_of: '1', changes: [{ shard: 'a', weight: 2 }] }], status: 400, code: 'invalid_body' },
    'the start of no plan': { request: ['POST', '/v1/plans/9/start'], status: 404, code: 'unknown_plan' },
    'a plan id that is none': { request: ['POST', '/v1/plans/x/start'], status: 400, code: 'invalid_parameter' },
    'a move to no member': { request: ['POST', '/v1/moves', { slot: 1, target: 'c' }], status: 404, code: 'unknown_shard' },
    'a move to where the slot is': { request: ['POST', '/v1/moves', { slot: 0, target: 'owner' }], status: 409, code: 'nothing_to_move' },
    'a move of no slot': { request: ['POST', '/v1/moves', { slot: SLOTS, target: 'a' }], status: 400, code: 'invalid_body' },
    'a move of half a slot': { request: ['POST', '/v1/moves', { slot: 1.5, target: 'a' }], status: 400, code: 'invalid_body' },
    'a move of a slot that moves': { request: ['POST', '/v1/moves', { slot: 5, target: 'other' }], status: 409, code: 'slot_moving', given: () => byHand(5) },
    'a move to a shard that is emptied': { request: ['POST', '/v1/moves', { slot: 5, target: 'other' }], status: 409, code: 'shard_draining', given: () => admin.call('PATCH', `/v1/shards/${first.owners[5] === A ? 'b' : 'a'}`, { state: 'draining' }) },
    'the abort of no move': { request: ['POST', '/v1/moves/9/abort'], status: 404, code: 'unknown_move' },
    'a body with more than is asked for': { request: ['POST', '/v1/plans/9/start', { force: true }], status: 400, code: 'invalid_body' },
    'a query that is not known': { request: ['GET', '/v1/moves?color=red'], status: 400, code: 'invalid_parameter' },
    'a path that is not known': { request: ['GET', '/v1/slots'], status: 404, code: 'not_found' },
    'a method that is not known': { request: ['PUT', '/v1/shards', {}], status: 405, code: 'method_not_allowed' },
  };

  test.each(Object.entries(bad))('%s', async (_what, { request: [method, path, body], status, code, given }) => {
    await given?.();
    const before = [await contents(), await tablesOf('shard_c'), await tablesOf('shard_b')];
    const slot = (body as { slot?: number } | undefined)?.slot ?? 0;
    const owner = first.owners[slot];
    const named = JSON.parse(JSON.stringify(body ?? null).replace('"owner"', JSON.stringify(owner ?? 'a')).replace('"other"', JSON.stringify(owner === A ? B : A))) as unknown;
    const reply = await admin.call(method, path, named ?? undefined);
    expect({ status: reply.status, code: reply.json.code }).toEqual({ status, code });
    expect(reply.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
    expect(reply.json).toMatchObject({ type: `urn:millrace:problem:${code}`, title: expect.any(String), action: expect.any(String) });
    expect(reply.json.detail ?? '').not.toMatch(/secret|postgres:\/\/|\n\s+at /);
    if (status === 503) expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0);
    expect([await contents(), await tablesOf('shard_c'), await tablesOf('shard_b')]).toEqual(before);
  });

  test('a caller without the token, with another, or with a body that is none', async () => {
    const before = await contents();
    const post = (init: RequestInit) => admin.raw('/v1/shards', { method: 'POST', ...init });
    const json = { 'content-type': 'application/json' };
    expect((await post({ headers: { authorization: 'Bearer wrong' } })).json.code).toBe('unauthorized');
    expect((await post({ headers: { authorization: '' } })).status).toBe(401);
    expect((await post({ headers: json, body: '{"shard":' })).json.code).toBe('malformed_json');
    expect((await post({ headers: json, body: Buffer.from([0x22, 0xff, 0x22]) })).json.code).toBe('malformed_json');
    expect((await post({ headers: json, body: `{"shard":"c","__proto__":{"weight":5}}` })).json.code).toBe('invalid_body');
    expect((await post({ headers: json, body: JSON.stringify({ shard: 'x'.repeat(300_000) }) })).json.code).toBe('body_too_large');
    expect((await post({ headers: { 'content-type': 'text/plain' }, body: '{"shard":"c"}' })).json.code).toBe('unsupported_media_type');
    expect((await admin.raw('/v1/shards/%ff', { method: 'DELETE' })).json.code).toBe('invalid_parameter');
    expect(await contents()).toEqual(before);
  });

  test('a database of another cluster is not touched before it is refused', async () => {
    await withDatabase('shard_c', async (database) => {
      await database.query({ text: 'create table shard_identity (cluster_id uuid, shard_id text, slots int)' });
      await database.query({ text: `insert into shard_identity values ('00000000-0000-4000-8000-000000000000', 'c', 8)` });
      const before = await tablesOf('shard_c');
      await expect(prepareShard({ database, identity: { clusterId: cluster.id, shard: 'c' as ShardId, slots: SLOTS }, log })).rejects.toThrow(ForeignShard);
      expect(await tablesOf('shard_c')).toEqual(before);
    });
  });

  test('a member that a newer version has migrated is left alone when an older one starts', async () => {
    await shards.get(A).query({ text: `insert into migration (id, checksum) values ('core-9001', 'x')` });
    await prepareShard({ database: shards.get(A), identity: { clusterId: cluster.id, shard: A, slots: SLOTS }, log });
  });

  test('a corrected address holds at the next attempt', async () => {
    writeShards({ a: 'shard_a', b: 'shard_b', c: 'shard_b' });
    expect((await admin.call('POST', '/v1/shards', { shard: 'c' })).json.code).toBe('foreign_shard');
    writeShards({ a: 'shard_a', b: 'shard_b', c: 'shard_c' });
    expect((await admin.call('POST', '/v1/shards', { shard: 'c' })).status).toBe(201);
  });

  test('while the control database is down the answer is a 503 with Retry-After; the topology is that which is known', async () => {
    const down = createDatabase({ ...CONTROL_POOL, applicationName: 'test', name: 'control', url: 'postgres://nobody@127.0.0.1:1/none', log });
    cleanups.push(() => down.end());
    const deaf = await serve({ control: down });
    const reply = await deaf.call('POST', '/v1/moves', { slot: 1, target: 'a' });
    expect(reply).toMatchObject({ status: 503, json: { code: 'control_unavailable' } });
    expect(Number(reply.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await deaf.call('GET', '/v1/topology')).json).toEqual({ epoch: 1, slots: SLOTS, owners: [...first.owners] });
  });

  test('an error of ours is told without its stack', async () => {
    const broken = await serve({ statistics: () => Promise.reject(new Error('secret of the house')) });
    const reply = await broken.call('POST', '/v1/plans', {});
    expect(reply).toMatchObject({ status: 500, json: { code: 'internal' } });
    expect(JSON.stringify(reply.json)).not.toContain('secret');
  });
});

test('the description names every route, its bodies and its problems, and needs no token', async () => {
  const { json, status } = await admin.raw('/openapi.json', { headers: { authorization: '' } });
  expect(status).toBe(200);
  expect(json.openapi).toMatch(/^3\.1\./);
  for (const [path, methods] of Object.entries({
    '/v1/topology': ['get'], '/v1/topology/history': ['get'], '/v1/leader': ['get'], '/v1/audit': ['get'], '/v1/shards': ['get', 'post'], '/v1/shards/{shard}': ['patch', 'delete'],
    '/v1/shards/{shard}/drain': ['post'], '/v1/plans': ['get', 'post'], '/v1/plans/{id}': ['get'], '/v1/plans/{id}/start': ['post'], '/v1/plans/{id}/pause': ['post'],
    '/v1/plans/{id}/resume': ['post'], '/v1/plans/{id}/abort': ['post'], '/v1/moves': ['get', 'post'], '/v1/moves/{id}': ['get'], '/v1/moves/{id}/pause': ['post'],
    '/v1/moves/{id}/resume': ['post'], '/v1/moves/{id}/abort': ['post'], '/v1/moves/{id}/verify': ['post'],
  })) {
    expect(Object.keys(json.paths[path] ?? {}).sort()).toEqual(methods.sort());
  }
  const operations = Object.values(json.paths).flatMap((path) => Object.values(path).map(({ operationId }) => operationId));
  expect(new Set(operations).size).toBe(operations.length);
  expect(json.paths['/v1/moves']?.post?.requestBody.content['application/json']?.schema.required).toEqual(['slot', 'target']);
  expect(json.paths['/v1/moves']?.post?.responses['409']?.description).toContain('slot_moving');
  expect(json.paths['/v1/plans/{id}']?.get?.parameters).toMatchObject([{ name: 'id', in: 'path', required: true }]);
});
