import { afterEach, beforeEach, expect, test } from '@jest/globals';

import { startLocalApi, type LocalApi, type LocalApiInput } from './local-api.ts';
import { Refusal } from './refusal.ts';

const TOKEN = 'mra_a-token-of-the-test';
let api: LocalApi;
let asked: string[];
let result: () => Promise<unknown>;

beforeEach(async () => {
  asked = [];
  result = () => Promise.resolve(true);
  const shards = {
    joined: [{ id: 'a', postgres: { pid: 7, port: 5001 } }],
    add: (id: string) => (asked.push(`add ${id}`), result()),
    remove: (id: string) => (asked.push(`remove ${id}`), result()),
  } as unknown as LocalApiInput['shards'];
  api = await startLocalApi({ port: 0, token: TOKEN, shards });
});
afterEach(() => api.close());

async function call(method: string, path: string, { body, token = TOKEN }: { body?: string; token?: string } = {}): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(`http://127.0.0.1:${api.port}${path}`, { method, body, headers: { authorization: `Bearer ${token}` } });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

test('tells the shards that run', async () => {
  expect(await call('GET', '/shards')).toEqual({ status: 200, body: { shards: [{ id: 'a', pid: 7, port: 5001 }] } });
});

test('starts a shard, and says where it is there already', async () => {
  expect(await call('POST', '/shards', { body: '{"id":"c"}' })).toEqual({ status: 201, body: { id: 'c', started: true } });
  result = () => Promise.resolve(false);
  expect(await call('POST', '/shards', { body: '{"id":"c"}' })).toEqual({ status: 200, body: { id: 'c', started: false } });
});

test('stops a shard, and says what became of its data', async () => {
  result = () => Promise.resolve({ data: 'kept', reason: 'no answer' });
  expect(await call('DELETE', '/shards/c')).toEqual({ status: 200, body: { id: 'c', data: 'kept', reason: 'no answer' } });
});

test.each(['', '{', '[]', '{"id":7}', '{"id":"C"}', '{"id":"-c"}', '{"id":"../x"}', '{"id":"c","url":"postgres://x"}', '{"__proto__":{"id":"c"}}'])(
  'refuses a body that is not one shard id: %j',
  async (body) => {
    const { status, body: answer } = await call('POST', '/shards', { body });
    expect({ status, code: answer['code'] }).toEqual({ status: 400, code: 'invalid_body' });
    expect(asked).toEqual([]);
  },
);

test('refuses a body over the limit, whoever is not named by the token, and what it does not know', async () => {
  expect((await call('POST', '/shards', { body: `{"id":"${'c'.repeat(100_000)}"}` })).status).toBe(413);
  for (const token of ['', 'wrong', `${TOKEN}x`]) expect((await call('POST', '/shards', { body: '{"id":"c"}', token })).status).toBe(401);
  expect((await call('DELETE', '/shards/a%2Fb')).status).toBe(400);
  for (const [method, path] of [['PUT', '/shards'], ['GET', '/shards/a'], ['DELETE', '/shards/a/b'], ['GET', '/']] as const) {
    expect((await call(method, path)).status).toBe(404);
  }
  expect(asked).toEqual([]);
});

test('a refusal tells what to do', async () => {
  result = () => Promise.reject(new Refusal('shard_is_member', 'shard c is active'));
  expect(await call('DELETE', '/shards/c')).toEqual({
    status: 409,
    body: {
      type: 'urn:millrace:problem:shard_is_member',
      title: 'The shard is a member still',
      status: 409,
      code: 'shard_is_member',
      action: 'Take it out first: millrace ring remove SHARD.',
      detail: 'shard c is active',
    },
  });
});
