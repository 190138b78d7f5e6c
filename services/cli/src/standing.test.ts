import { expect, test } from '@jest/globals';
import type { ShardId } from '@millrace/write';

import { shardsToAsk } from './standing.ts';

const known = { ids: () => ['a', 'b'] as ShardId[] };

test('a shard that joined since the file was read is asked as soon as it owns a slot', async () => {
  const topology = async () => ({ owners: ['b', 'c', 'b'] as ShardId[] });
  expect(await shardsToAsk({ shards: known, topology })).toEqual(['a', 'b', 'c']);
});

test('while the control database is silent, the shards that are known are asked', async () => {
  const topology = () => Promise.reject(new Error('connection refused'));
  expect(await shardsToAsk({ shards: known, topology })).toEqual(['a', 'b']);
});
