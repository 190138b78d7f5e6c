import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { createLog } from '@millrace/runtime';
import type { ShardId } from '@millrace/write';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createShards, readShardsFile, ShardsFileBroken, UnknownShard, type Shards } from './shards.ts';

const A = 'a' as ShardId;
const B = 'b' as ShardId;
const SETTINGS = { applicationName: 'test', poolMax: 1, statementTimeoutMs: 1_000, idleInTransactionTimeoutMs: 1_000, connectTimeoutMs: 1_000 };
const url = (name: string): string => `postgres://user:pass@127.0.0.1:1/${name}`;

let dir: string;
let file: string;
let shards: Shards;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-shards-'));
  file = join(dir, 'shards.json');
  writeFileSync(file, JSON.stringify({ a: url('a') }));
  shards = createShards({ file, log: createLog({ name: 'test', level: 'silent' }), settings: SETTINGS });
});
afterEach(async () => {
  await shards.end();
  rmSync(dir, { recursive: true, force: true });
});

function thrownBy(work: () => unknown): Error {
  try {
    work();
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was thrown');
}

test.each([
  ['cut off', '{"a":"postgres://user:secret@host/a'],
  ['an address without its quotes', '{"a":secret}'],
  ['a list', '["secret"]'],
  ['an address as a name', '{"postgres://user:secret@host/a":"a"}'],
  ['an address of something else', '{"a":"http://user:secret@host"}'],
  ['nobody', '{}'],
])('a broken file (%s) is told by its name, without what it holds', (_, content) => {
  writeFileSync(file, content);
  const error = thrownBy(() => readShardsFile(file));
  expect(error).toBeInstanceOf(ShardsFileBroken);
  expect(error.message).toContain(file);
  expect([error.message, error.cause]).toEqual([expect.not.stringContaining('secret'), undefined]);
});

test('while the file is broken or missing, a shard that is known is served; one that is not is unknown, until it is mended', () => {
  const known = shards.get(A);
  for (const breaking of [() => writeFileSync(file, '{"a":'), () => rmSync(file)]) {
    breaking();
    expect(shards.get(A)).toBe(known);
    const error = thrownBy(() => shards.get(B));
    expect(error).toBeInstanceOf(UnknownShard);
    expect(error.cause).toBeInstanceOf(ShardsFileBroken);
    expect(thrownBy(() => shards.renew(A))).toBeInstanceOf(ShardsFileBroken);
  }
  writeFileSync(file, JSON.stringify({ a: url('a'), b: url('b') }));
  expect(shards.get(B)).not.toBe(known);
});

test('a shard that has another address now is renewed, and only then', () => {
  const before = shards.get(A);
  expect(shards.renew(A)).toBe(before);
  writeFileSync(file, JSON.stringify({ a: url('elsewhere') }));
  expect(shards.get(A)).toBe(before);
  expect(shards.renew(A)).not.toBe(before);
});
