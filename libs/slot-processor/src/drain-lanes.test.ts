import { expect, test } from '@jest/globals';
import { createLog } from '@millrace/runtime';
import type { ShardId } from '@millrace/write';
import { drainLanes, type Ending } from './drain-lanes.ts';

const log = createLog({ name: 'test', level: 'silent' });
const LIMITS = { turnsMs: 200, saveMs: 200 };
const never = new Promise<never>(() => undefined);

type Steps = Partial<Record<'stopped' | 'drain' | 'save', () => Promise<void>>>;

/** Lanes whose steps end, fail or hang: what was done, in its order, once they are drained. */
async function drained(steps: Readonly<Record<string, Steps>>): Promise<readonly string[]> {
  const done: string[] = [];
  const step = (name: string, does: () => Promise<void> = async () => undefined) => async () => {
    await does();
    done.push(name);
  };
  const lanes = Object.entries(steps).map(
    ([shard, { stopped, drain, save }]): Ending => ({
      lane: { shard: shard as ShardId, stopped: step(`${shard} stopped`, stopped) },
      relay: { drain: step(`${shard} drained`, drain), save: step(`${shard} saved`, save) },
    }),
  );
  await drainLanes({ lanes, stopRelays: () => void done.push('relays stop'), log, limits: LIMITS });
  return done;
}

test('turns end, events go out, and how far they are is saved', async () => {
  expect(await drained({ a: {} })).toEqual(['a stopped', 'a drained', 'relays stop', 'a saved']);
});

test('a shard whose turn does not end, and one whose events do not go out, keep no other from it', async () => {
  const done = await drained({ a: { stopped: () => never }, b: { drain: () => never }, c: {} });
  expect(done).toEqual(['b stopped', 'c stopped', 'c drained', 'relays stop', 'a saved', 'b saved', 'c saved']);
});

test('positions are saved on all shards at once: one that does not answer, or fails, keeps no other from it', async () => {
  const done = await drained({ a: { save: () => never }, b: { save: () => Promise.reject(new Error('gone')) }, c: {} });
  expect(done.slice(done.indexOf('relays stop'))).toEqual(['relays stop', 'c saved']);
});
