import { expect, test } from '@jest/globals';

import { Refusal } from './refusal.ts';
import type { Shard } from './servers.ts';
import { createShardSet, type ShardSet, type ShardSetInput } from './shard-set.ts';

/** A shard whose Postgres only remembers what it was told; `start` waits for the gate. */
function shardOf(id: string, told: string[], gate: () => Promise<void> = () => Promise.resolve()): Shard {
  const postgres = {
    name: `shard-${id}`,
    start: async () => {
      told.push(`start ${id}`);
      await gate();
    },
    stop: async () => void told.push(`stop ${id}`),
  };
  return { id, postgres: postgres as unknown as Shard['postgres'] };
}

function setOf(ids: readonly string[], input: Partial<ShardSetInput> = {}): { readonly set: ShardSet; readonly told: string[] } {
  const told: string[] = [];
  const set = createShardSet({
    shards: ids.map((id) => shardOf(id, told)),
    make: (id) => Promise.resolve(shardOf(id, told)),
    save: (now) => void told.push(`save ${now.map((shard) => shard.id).join('')}`),
    mayGo: () => Promise.resolve('empty'),
    deleteData: (id) => void told.push(`delete ${id}`),
    ...input,
  });
  return { set, told };
}

const idsOf = (set: ShardSet): string => set.joined.map((shard) => shard.id).join('');

test('the files name a shard when its Postgres answers, and no longer before it stops', async () => {
  const { set, told } = setOf(['a', 'b']);
  expect(await set.add('c')).toBe(true);
  expect(await set.add('c')).toBe(false);
  expect(await set.remove('c')).toEqual({ data: 'deleted' });
  expect(told).toEqual(['start c', 'save abc', 'save ab', 'stop c', 'delete c']);
});

test('a shard that does not start is not named, and is stopped', async () => {
  const told: string[] = [];
  const { set } = setOf(['a'], { make: (id) => Promise.resolve(shardOf(id, told, () => Promise.reject(new Error('no memory')))) });
  await expect(set.add('b')).rejects.toThrow(/no memory/);
  expect(told).toEqual(['start b', 'stop b']);
  expect([idsOf(set), set.servers.length]).toEqual(['a', 1]);
});

test('one that must stay, the only one, and one that is not there are refused, and nothing is done', async () => {
  const { set, told } = setOf(['a', 'b'], { mayGo: () => Promise.reject(new Refusal('shard_is_member', 'shard b is active')) });
  await expect(set.remove('b')).rejects.toThrow(/active/);
  await expect(set.remove('x')).rejects.toMatchObject({ code: 'unknown_local_shard' });
  await expect(setOf(['a']).set.remove('a')).rejects.toMatchObject({ code: 'only_shard' });
  expect([idsOf(set), told]).toEqual(['ab', []]);
});

test('data whose rows cannot be looked at is kept', async () => {
  const { set, told } = setOf(['a', 'b'], { mayGo: () => Promise.resolve({ unknown: 'no answer' }) });
  expect(await set.remove('b')).toEqual({ data: 'kept', reason: 'its rows could not be looked at: no answer' });
  expect(told).toEqual(['save a', 'stop b']);
});

test('there are never more than 26', async () => {
  const { set } = setOf(Array.from({ length: 26 }, (_, n) => `s${n}`));
  await expect(set.add('one-more')).rejects.toMatchObject({ code: 'too_many_shards' });
});

test('a shard that joins while the set closes is stopped, and nobody joins after that', async () => {
  const told: string[] = [];
  let release = (): void => undefined;
  const gate = (): Promise<void> => new Promise((_, reject) => (release = () => reject(new Error('stopped'))));
  const shard = shardOf('b', told, gate);
  const stop = shard.postgres.stop;
  Object.assign(shard.postgres, { stop: async () => (release(), stop()) });
  const { set } = setOf(['a'], { make: () => Promise.resolve(shard) });
  const adding = set.add('b').catch((error: unknown) => error);
  while (told.length === 0) await Promise.resolve();
  expect(set.servers).toHaveLength(2);
  await set.close();
  expect(await adding).toBeInstanceOf(Refusal);
  await expect(set.add('c')).rejects.toMatchObject({ code: 'cluster_stopping' });
  expect(idsOf(set)).toBe('a');
});
