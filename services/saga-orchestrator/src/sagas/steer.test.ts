import { expect, test } from '@jest/globals';
import { begin, rowOf } from '@millrace/saga';
import { Refused } from '@millrace/admin';
import type { Database, Sql } from '@millrace/postgres';
import { createTopology } from '@millrace/ring';
import type { Epoch, Offset, RoutingKey, ShardId, Slot } from '@millrace/write';
import { steer, type SteerInput } from './steer.ts';

const shard = 'a' as ShardId;
const ref = { key: 'demo/o' as RoutingKey, saga: 'order' };
const { next } = begin({ kind: 'order', parts: [{ kind: 'stock', id: 's', direction: 'out', quantity: 1 }], dueMs: 2 }, 1);

/** A shard that has the saga once, tells nothing of what becomes of it, and then answers so. */
function input(then: () => Promise<readonly unknown[]>): SteerInput {
  let asked = 0;
  const query = async (sql: Sql): Promise<readonly unknown[]> => {
    if (sql.text.includes('from slot')) return [{ slot: 0 as Slot, state: 'ACTIVE', epoch: 1n, moved_to: null }];
    if (sql.text.includes('from journal')) return [];
    return (asked += 1) === 1 ? [{ slot: 0 as Slot, ...rowOf(ref, next) }] : then();
  };
  const database: Partial<Database> = { query: query as Database['query'] };
  return {
    shards: { get: () => database as Database, ids: () => [shard] },
    topology: { current: () => createTopology({ epoch: 1 as Epoch, owners: [shard] }) },
    lanes: { send: async () => ({ offset: 0n as Offset }) },
  };
}
const cancel = (over: SteerInput) => steer(over, ref, { how: 'cancel', signal: new AbortController().signal });

test('whoever waits for an outcome goes on where the saga cannot be found for a moment', async () => {
  expect(await cancel(input(async () => []))).toBe('asked');
}, 15_000);

test('what is broken is told, and not waited for', async () => {
  const broken = cancel(input(() => Promise.reject(new TypeError('a bug'))));
  await expect(broken).rejects.toBeInstanceOf(TypeError);
  await expect(broken).rejects.not.toBeInstanceOf(Refused);
}, 15_000);
