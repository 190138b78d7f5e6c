/** Live moves whose mover dies or sleeps, whose links fail, and whose shards are down or lose their disk. */
import { describe, expect, test } from '@jest/globals';
import type { Database } from '@millrace/postgres';
import { slotTables } from '@millrace/slot-processor';
import { postgresCommit, startFaultProxy, until } from '@millrace/testkit';
import type { ShardId } from '@millrace/write';
import { GIVE_WAY_MS, RETRY } from '../../services/ring-manager/src/move/limits.ts';
import { OutOfStep } from '../../services/ring-manager/src/move/mover.ts';
import { Superseded, type MoveWish } from '../../services/ring-manager/src/move/types.ts';
import { A, B, BACK, connect, countOf, dieAt, drive, expectWhole, leaveOnTarget, loaded, once, order, pauseAt, published, servers, shards, sideOf, slot, useShards } from './moving-slot.ts';

useShards();

const FORWARD_STEPS = ['claim', 'prepare', 'open', 'opening', 'copy', 'chunk', 'check', 'round', 'fence', 'fenced', 'activate', 'publish', 'purge', 'purge batch', 'done'];

/** Lets a hook see only what comes behind a step: the target is emptied in batches before the copy, the source behind it. */
function behind(first: string, hook: (step: string) => Promise<void>) {
  let seen = false;
  return async (step: string): Promise<void> => {
    if (seen) await hook(step);
    seen ||= step === first;
  };
}

describe('R5 a mover that dies', () => {
  test.each(FORWARD_STEPS)('at step `%s` is followed by another, and nothing is lost or doubled', async (step) => {
    const traffic = await loaded(300);
    traffic.start();
    await expect(drive({ onStep: dieAt(step) }).result).rejects.toThrow(`died at ${step}`);
    expect(await drive({ token: 2n }).result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });

  test.each(FORWARD_STEPS.filter((step) => step !== 'activate' && step !== 'fenced'))('or sleeps at step `%s` changes nothing when it wakes, even if the slot is back', async (step) => {
    const traffic = await loaded(300);
    traffic.start();
    const sleeper = pauseAt(step);
    const first = drive({ onStep: sleeper.onStep });
    await sleeper.reached;
    expect(await drive({ token: 2n }).result).toBe('done');
    published.clear();
    expect(await drive({ token: 2n, order: BACK }).result).toBe('done');
    sleeper.release();
    if (step === 'done') expect(await first.result).toBe('done');
    else await expect(first.result).rejects.toThrow(Superseded);
    await expectWhole(traffic, shards.a, shards.b);
  });

  test.each(['fenced', 'activate'])('or sleeps inside its transaction at step `%s` is ended by its successor, which waits for the row that it holds', async (step) => {
    const traffic = await loaded(300);
    traffic.start();
    const sleeper = pauseAt(step);
    const first = drive({ onStep: sleeper.onStep });
    await sleeper.reached;
    expect(await drive({ token: 2n }).result).toBe('done');
    sleeper.release();
    await expect(first.result).rejects.toThrow(Superseded);
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('in the middle of purging the source is followed by another', async () => {
    const traffic = await loaded();
    let batches = 0;
    const die = behind('purge', async (step) => {
      if (step === 'purge batch' && (batches += 1) === 3) throw new Error('died purging');
    });
    await expect(drive({ onStep: die }).result).rejects.toThrow('died purging');
    expect(await drive({ token: 2n }).result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('or sleeps before it purges takes nothing from a source that has the slot again', async () => {
    const traffic = await loaded(300);
    const sleeper = pauseAt('purge batch');
    const first = drive({ onStep: behind('purge', sleeper.onStep) });
    await sleeper.reached;
    expect(await drive({ token: 2n }).result).toBe('done');
    published.clear();
    expect(await drive({ token: 2n, order: BACK }).result).toBe('done');
    sleeper.release();
    await expect(first.result).rejects.toThrow(Superseded);
    await expectWhole(traffic, shards.a, shards.b);
  });

  test('or loses its lease in the middle of a chunk leaves the chunk behind', async () => {
    const traffic = await loaded();
    const sleeper = pauseAt('chunk');
    const first = drive({ onStep: sleeper.onStep });
    await sleeper.reached;
    expect(await drive({ token: 2n, wishes: () => 'abort' }).result).toBe('aborted');
    sleeper.release();
    await expect(first.result).rejects.toThrow(Superseded);
    await expectWhole(traffic, shards.a, shards.b);
  });

  test('of one leader, doubled: each sees that the other has gone on, and none does a step twice', async () => {
    const traffic = await loaded(300);
    traffic.start();
    const sleeper = pauseAt('chunk');
    const first = drive({ onStep: sleeper.onStep });
    await sleeper.reached;
    const second = drive({ onStep: once('check', async () => sleeper.release()) });
    expect(await Promise.all([first.result, second.result])).toEqual(['done', 'done']);
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('of one leader, asleep before it empties the target, does not take what was copied meanwhile', async () => {
    const traffic = await loaded(300);
    await leaveOnTarget();
    const sleeper = pauseAt('purge batch');
    const first = drive({ onStep: sleeper.onStep });
    await sleeper.reached;
    const next = pauseAt('check');
    const second = drive({ onStep: next.onStep });
    await next.reached;
    sleeper.release();
    await until('the first has found the other', () => first.errors.length > 0);
    expect(await countOf(shards.b, 'account')).toBe(await countOf(shards.a, 'account'));
    next.release();
    expect(await Promise.all([first.result, second.result])).toEqual(['done', 'done']);
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('of one leader, asleep before it rejects a target that is activated meanwhile, comes too late', async () => {
    const traffic = await loaded(100);
    let wish: MoveWish = 'forward';
    const sleeper = pauseAt('reject');
    const first = drive({ wishes: () => wish, onStep: async (step) => (step === 'check' ? void (wish = 'abort') : sleeper.onStep(step)) });
    await sleeper.reached;
    expect(await drive().result).toBe('done');
    sleeper.release();
    expect(await first.result).toBe('done');
    expect(await sideOf(shards.b)).toMatchObject({ state: 'ACTIVE' });
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('of one leader, asleep over an abort and a new move, finds the new move in the row', async () => {
    const traffic = await loaded(300);
    traffic.start();
    const sleeper = pauseAt('chunk');
    const first = drive({ onStep: sleeper.onStep });
    await sleeper.reached;
    expect(await drive({ wishes: () => 'abort' }).result).toBe('aborted');
    const next = pauseAt('chunk');
    const second = drive({ order: order(3n), onStep: next.onStep });
    await next.reached;
    sleeper.release();
    await expect(first.result).rejects.toThrow('the target has a later move');
    expect(await countOf(shards.b, 'journal')).toBe(0);
    next.release();
    expect(await second.result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('an older token is refused from the start, also where the target has no row yet', async () => {
    await loaded(20);
    expect(await drive({ token: 5n, wishes: () => 'abort' }).result).toBe('aborted');
    await expect(drive({ token: 4n }).result).rejects.toThrow(Superseded);
    expect(await sideOf(shards.b)).toMatchObject({ state: 'ABORTED', token: 5n });
    expect(await sideOf(shards.a)).toMatchObject({ state: 'ACTIVE', token: 5n });
  });
});

describe('a mover that takes over', () => {
  test.each([true, false])('behind the fence tells the stall from when its predecessor has told the fence: %s', async (told) => {
    const traffic = await loaded(100);
    const first = drive({ onStep: dieAt('fenced') });
    await expect(first.result).rejects.toThrow('died');
    expect(first.phases.at(-1)).toBe('fenced');
    const fencedAt = new Date(Date.now() - 60_000).toISOString();
    const { result, progress, phases } = drive({ token: 2n, phase: 'fenced', progress: told ? { fencedAt } : {} });
    expect(await result).toBe('done');
    expect(phases).toEqual(['fenced', 'activated', 'purging', 'done']);
    if (told) expect(progress.stallMs).toBeGreaterThanOrEqual(60_000);
    else expect(progress.stallMs).toBeUndefined();
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('and finds no shard tells nothing that lies behind what is stored', async () => {
    await loaded(20);
    const { result, phases } = drive({ phase: 'checking', onStep: () => Promise.reject(new OutOfStep('nothing answers')) });
    await expect(result).rejects.toThrow('nothing answers');
    expect(phases).toEqual(['checking']);
  });
});

describe('a target that lost its disk', () => {
  const lose = async (): Promise<void> => {
    for (const table of [...slotTables.map(({ name }) => name), 'incoming', 'position', 'slot']) await shards.b.query({ text: `delete from "${table}" where slot = $1`, values: [slot] });
  };

  test.each(['chunk', 'fenced'])('at step `%s` lets the move stand until it is aborted, and the slot returns', async (step) => {
    const traffic = await loaded(300);
    traffic.start();
    await expect(drive({ onStep: dieAt(step) }).result).rejects.toThrow('died');
    await lose();
    await expect(drive({ token: 2n }).result).rejects.toThrow('abort the move');
    expect(await drive({ token: 2n, wishes: () => 'abort' }).result).toBe('aborted');
    expect(await sideOf(shards.a)).toMatchObject({ state: 'ACTIVE', epoch: 3n, move: null });
    expect(await sideOf(shards.b)).toMatchObject({ state: 'ABORTED', epoch: 2n, move: 1n });
    await expectWhole(traffic, shards.a, shards.b);
  });

  test('behind the claim is claimed anew', async () => {
    const traffic = await loaded(100);
    const { result, errors } = drive({ onStep: once('prepare', lose) });
    expect(await result).toBe('done');
    expect(errors.join()).toContain('has no row after a claim');
    await expectWhole(traffic, shards.b, shards.a);
  });
});

describe('a link that fails', () => {
  test.each([
    ['source', 'fence'],
    ['target', 'activate'],
    ['source', 'open'],
    ['target', 'chunk'],
    ['target', 'prepare'],
    ['source', 'purge batch'],
  ] as const)('W5 a commit on the %s without an answer at step `%s` is read again', async (side, step) => {
    const traffic = await loaded(300);
    traffic.start();
    const shard = side === 'source' ? 0 : 1;
    const proxy = await startFaultProxy({ host: '127.0.0.1', port: servers[shard]!.port });
    const url = new URL(servers[shard]!.url);
    url.port = String(proxy.port);
    url.pathname = `/shard_${side === 'source' ? 'a' : 'b'}`;
    const viaProxy = connect(url.href, 'via proxy');
    let lost = 0;
    const { result, errors, progress } = drive({
      database: (id) => (id === (side === 'source' ? A : B) ? viaProxy : shards[id as 'a' | 'b']),
      onStep: once(step, async () => void proxy.loseNextReply(postgresCommit).then(() => (lost += 1))),
    });
    expect(await result).toBe('done');
    expect(lost).toBe(1);
    expect(errors.length).toBeGreaterThan(0);
    // When a fence was committed that nobody got the answer of, nobody can say.
    expect(progress.stallMs).toEqual(step === 'fence' ? undefined : expect.any(Number));
    await viaProxy.end();
    await proxy.close();
    await expectWhole(traffic, shards.b, shards.a);
  });

  test.each([0, 1])('is waited for, and the move goes on from where it was', async (shard) => {
    const traffic = await loaded(300);
    const proxy = await startFaultProxy({ host: '127.0.0.1', port: servers[shard]!.port });
    const url = new URL(servers[shard]!.url);
    url.port = String(proxy.port);
    url.pathname = `/shard_${shard === 0 ? 'a' : 'b'}`;
    const viaProxy = connect(url.href, 'via proxy');
    const driven = drive({
      database: (id) => (id === (shard === 0 ? A : B) ? viaProxy : shards[id as 'a' | 'b']),
      onStep: once('check', async () => {
        proxy.setRefusing(true);
        proxy.cut();
      }),
    });
    await until('the mover has tried in vain', () => driven.errors.length >= 2);
    proxy.setRefusing(false);
    expect(await driven.result).toBe('done');
    expect(driven.progress.error).toBeNull();
    await viaProxy.end();
    await proxy.close();
    await expectWhole(traffic, shards.b, shards.a);
  });
});

describe('a shard that is down', () => {
  const proxyTo = async (shard: 0 | 1) => {
    const proxy = await startFaultProxy({ host: '127.0.0.1', port: servers[shard]!.port });
    const url = new URL(servers[shard]!.url);
    url.port = String(proxy.port);
    url.pathname = `/shard_${'ab'[shard]!}`;
    const via = connect(url.href, 'via proxy');
    const database = (id: ShardId): Database => (id === [A, B][shard] ? via : shards[id as 'a' | 'b']);
    const down = (): void => (proxy.setRefusing(true), proxy.cut());
    return { database, down, up: () => proxy.setRefusing(false), end: async () => (await via.end(), await proxy.close()) };
  };

  test('keeps no place from other moves: the mover gives way', async () => {
    const traffic = await loaded(100);
    const { database, down, up, end } = await proxyTo(1);
    const { result } = drive({ database, onStep: once('check', async () => down()) });
    await expect(result).rejects.toThrow(expect.objectContaining({ kind: 'infrastructure' }));
    up();
    expect(await drive().result).toBe('done');
    await end();
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('is asked again and again behind the fence, and the move shows where it stands', async () => {
    const traffic = await loaded(100);
    const { database, down, up, end } = await proxyTo(1);
    const { result, errors, phases, progress } = drive({ database, onStep: once('fenced', async () => down()) });
    await until('it has failed', () => errors.length > 0);
    const sinceMs = performance.now();
    await until('it has tried for longer than before a fence', () => performance.now() - sinceMs > GIVE_WAY_MS + RETRY.maxMs);
    expect(phases.at(-1)).toBe('fenced');
    expect(progress.fencedAt).toEqual(expect.any(String));
    up();
    expect(await result).toBe('done');
    await end();
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('does not keep a move from resting', async () => {
    const traffic = await loaded(100);
    const { database, down, end } = await proxyTo(1);
    await expect(drive({ onStep: dieAt('check') }).result).rejects.toThrow('died');
    down();
    expect(await drive({ database, token: 2n, wishes: () => 'pause' }).result).toBe('paused');
    expect(await sideOf(shards.a)).toMatchObject({ state: 'MOVING', token: 2n });
    await end();
    expect(await drive({ token: 3n }).result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });
});
