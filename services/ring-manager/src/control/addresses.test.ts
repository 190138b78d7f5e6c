import { expect, test } from '@jest/globals';
import type { Database } from '@millrace/postgres';
import { ShardsFileBroken } from '@millrace/topology';
import type { ShardId } from '@millrace/write';
import { addressedAnew } from './addresses.ts';

const A = 'a' as ShardId;
const B = 'b' as ShardId;

test('a shard is looked up once for each piece of work; while the file is broken what is known holds, and it is looked up again', () => {
  const asked: string[] = [];
  let broken = false;
  const ask = (how: string) => (shard: ShardId): Database => {
    asked.push(`${how} ${shard}`);
    if (how === 'renew' && broken) throw new ShardsFileBroken('shards.json', 'is not JSON');
    return { name: shard } as unknown as Database;
  };
  const shards = { get: ask('get'), renew: ask('renew') };
  const database = addressedAnew(shards);
  for (const shard of [A, A, B]) expect(database(shard).name).toBe(shard);
  expect(asked.splice(0)).toEqual(['renew a', 'get a', 'renew b']);
  broken = true;
  const next = addressedAnew(shards);
  next(A);
  broken = false;
  next(A);
  expect(asked).toEqual(['renew a', 'get a', 'renew a']);
});
