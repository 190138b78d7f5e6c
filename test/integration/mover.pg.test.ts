/** Live moves between two real shards: the way of a slot there and back, its aborts and its pauses. */
import { describe, expect, test } from '@jest/globals';
import { slotTables } from '@millrace/slot-processor';
import { until } from '@millrace/testkit';
import type { Stream } from '@millrace/write';
import { changing } from '../../services/ring-manager/src/move/side.ts';
import { slotStatistics } from '../../services/ring-manager/src/move/statistics.ts';
import type { MoveWish } from '../../services/ring-manager/src/move/types.ts';
import { B, BACK, countOf, createTraffic, dieAt, drive, ended, expectWhole, leaveOnTarget, loaded, neighbour, once, order, pauseAt, published, shards, sideOf, slot, useShards } from './moving-slot.ts';

useShards();

describe('a move', () => {
  test('brings every row over while turns of both streams go on, and leaves nothing behind', async () => {
    const traffic = await loaded();
    traffic.start();
    const { result, progress, phases } = drive();
    expect(await result).toBe('done');
    expect(await sideOf(shards.a)).toMatchObject({ state: 'MOVED', moved_to: B, move: 1n, epoch: 1n });
    expect(await sideOf(shards.b)).toMatchObject({ state: 'ACTIVE', moved_to: null, move: 1n, epoch: 2n });
    await expectWhole(traffic, shards.b, shards.a);
    expect(phases).toEqual(['preparing', 'copying', 'checking', 'catching_up', 'fenced', 'activated', 'purging', 'done']);
    expect(progress).toMatchObject({ error: null, rows: expect.any(Number), rounds: expect.any(Number), stallMs: expect.any(Number) });
    expect(progress.tables!.map(({ table }) => table).sort()).toEqual(slotTables.map(({ name }) => name).sort());
  });

  test('of an empty slot is a move as well', async () => {
    const traffic = createTraffic();
    expect(await drive().result).toBe('done');
    traffic.produce(50);
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('goes away, back and away again, each time with a higher epoch, under one token', async () => {
    const traffic = await loaded(300);
    traffic.start();
    expect(await drive().result).toBe('done');
    expect(await drive({ order: BACK }).result).toBe('done');
    expect(await sideOf(shards.a)).toMatchObject({ state: 'ACTIVE', epoch: 3n });
    expect(await drive({ order: order(3n) }).result).toBe('done');
    expect(await sideOf(shards.b)).toMatchObject({ state: 'ACTIVE', epoch: 4n });
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('does not disturb the neighbour, and its slot keeps its relay positions', async () => {
    const traffic = await loaded(200);
    await shards.a.query({ text: `insert into account (slot, key, currency, balance, held) values ($1, 'demo/n', 'GBP', 5, 0)`, values: [neighbour] });
    await shards.a.query({ text: 'update position set relayed_offset = next_offset - 1 where slot = $1 and next_offset > 0', values: [slot] });
    const before = await shards.a.query({ text: 'select stream, next_offset, relayed_offset from position where slot = $1 order by stream', values: [slot] });
    expect(await drive().result).toBe('done');
    expect(await shards.b.query({ text: 'select stream, next_offset, relayed_offset from position where slot = $1 order by stream', values: [slot] })).toEqual(before);
    expect(await shards.a.query({ text: 'select key from account where slot = $1', values: [neighbour] })).toHaveLength(1);
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('takes along what a release writes behind the cursors while the slot is MOVING', async () => {
    const traffic = await loaded(100);
    traffic.release('skip');
    traffic.parkAndFill();
    await traffic.settle(shards.a);
    expect(await countOf(shards.a, 'parked')).toBeGreaterThan(0);
    const { onStep, reached, release } = pauseAt('check');
    const { result } = drive({ onStep });
    await reached;
    traffic.release('skip');
    await traffic.settle(shards.a);
    expect(await countOf(shards.a, 'parked')).toBe(0);
    expect((await shards.a.query({ text: `select from changed where slot = $1 and "table" = 'journal'`, values: [slot] })).length).toBeGreaterThan(0);
    release();
    expect(await result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('replaces what an earlier move left on the target', async () => {
    const traffic = await loaded(200);
    await leaveOnTarget();
    expect(await drive().result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('holds the slot for moments where rounds do not shrink, and gets through at any write rate', async () => {
    const traffic = await loaded();
    traffic.start();
    let held = 0;
    const onStep = async (name: string): Promise<void> => {
      if ((name === 'round' || name === 'fence') && (await sideOf(shards.a))?.['held_until'] !== null) held += 1;
    };
    // No round fits such a budget.
    expect(await drive({ stallBudgetMs: 1, onStep }).result).toBe('done');
    expect(held).toBeGreaterThan(0);
    expect(await sideOf(shards.a)).toMatchObject({ held_until: null });
    await expectWhole(traffic, shards.b, shards.a);
  });
});

test('a slot that is written faster than its target can take it moves all the same', async () => {
  const traffic = await loaded();
  await shards.b.query({ text: `create function crawl() returns trigger language plpgsql as 'begin perform pg_sleep(0.0003); return new; end'; create trigger crawl before insert on journal for each row execute function crawl()` });
  traffic.start();
  let held = 0;
  const onStep = async (name: string): Promise<void> => {
    if (name === 'round' && (await sideOf(shards.a))?.['held_until'] !== null) held += 1;
    if (name === 'publish') await shards.b.query({ text: 'drop function crawl cascade' });
  };
  expect(await drive({ onStep }).result).toBe('done');
  expect(held).toBeGreaterThan(0);
  await expectWhole(traffic, shards.b, shards.a);
}, 300_000);

test('a fence whose last delta has grown too large behind the locks is put off for another round', async () => {
  const traffic = await loaded(100);
  const steps: string[] = [];
  const onStep = async (step: string): Promise<void> => {
    steps.push(step);
    // Each record of the first round takes so long that a thousand of them would never fit the budget.
    if (step === 'check') {
      traffic.produce(20);
      await traffic.settle(shards.a);
    }
    if (step === 'round') await new Promise((resolve) => setTimeout(resolve, 300));
    if (step !== 'fence' || steps.filter((name) => name === 'fence').length > 1) return;
    traffic.produce(1_000);
    await traffic.settle(shards.a);
  };
  expect(await drive({ stallBudgetMs: 4_000, onStep }).result).toBe('done');
  expect(steps.filter((step) => step === 'fence').length).toBeGreaterThan(1);
  expect(steps.filter((step) => step === 'fenced')).toHaveLength(1);
  await expectWhole(traffic, shards.b, shards.a);
});

test('what has grown since it was compared is not compared whole inside the fence', async () => {
  const traffic = await loaded(100);
  const { result, progress } = drive({
    onStep: once('fence', async () => {
      traffic.produce(5_500);
      await traffic.settle(shards.a);
    }),
  });
  expect(await result).toBe('done');
  const inFence = progress.tables!.filter(({ when }) => when === 'in_fence').map(({ table }) => table);
  expect(inFence).not.toContain('journal');
  expect(inFence).toContain('orders');
  await expectWhole(traffic, shards.b, shards.a);
});

test('a change of state does not sleep over the locks that it holds', async () => {
  const setting = await changing(shards.a, (tx) => tx.query<Record<string, string>>({ text: 'show idle_in_transaction_session_timeout' }));
  expect(setting).toEqual([{ idle_in_transaction_session_timeout: '2s' }]);
});

describe('a change of state on the source waits for whoever holds a position', () => {
  /** A turn of a stream that has begun, as it looks from outside. */
  async function hold(stream: Stream): Promise<() => Promise<void>> {
    const held = Promise.withResolvers<void>();
    const over = Promise.withResolvers<void>();
    const turn = shards.a.transaction(async (tx) => {
      await tx.query({ text: 'select from position where stream = $1 and slot = $2 for update', values: [stream, slot] });
      held.resolve();
      await over.promise;
    });
    await held.promise;
    ended.signal.addEventListener('abort', () => over.resolve());
    return async () => {
      over.resolve();
      await turn;
    };
  }
  const waits = () => until('somebody waits for a lock', async () => (await shards.a.query({ text: `select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()` })).length > 0);

  test.each([
    ['writes', 'opening', 'ACTIVE'],
    ['sagas', 'opening', 'ACTIVE'],
    ['writes', 'fence', 'MOVING'],
    ['sagas', 'fence', 'MOVING'],
    ['writes', 'reactivate', 'MOVING'],
    ['sagas', 'reactivate', 'MOVING'],
  ] as const)('of stream %s: at step `%s` it stays %s', async (stream, step, state) => {
    const traffic = await loaded(100);
    let wish: MoveWish = 'forward';
    let end: (() => Promise<void>) | undefined;
    const reached = Promise.withResolvers<void>();
    const { result } = drive({
      wishes: () => wish,
      onStep: async (name) => {
        if (name === 'check' && step === 'reactivate') wish = 'abort';
        if (name !== step || end) return;
        end = await hold(stream);
        reached.resolve();
      },
    });
    await reached.promise;
    expect(await Promise.race([waits(), result])).toBe(true);
    expect(await sideOf(shards.a)).toMatchObject({ state });
    await end!();
    expect(await result).toBe(step === 'reactivate' ? 'aborted' : 'done');
    await expectWhole(traffic, ...(step === 'reactivate' ? ([shards.a, shards.b] as const) : ([shards.b, shards.a] as const)));
  });
});

describe('an abort', () => {
  test.each(['prepare', 'open', 'opening', 'copy', 'chunk', 'check', 'round', 'fence'])('at step `%s` gives the slot back as it was', async (step) => {
    const traffic = await loaded(300);
    traffic.start();
    let wish: MoveWish = 'forward';
    const turned = await drive({ wishes: () => wish, onStep: once(step, async () => void (wish = 'abort')) }).result;
    // Asked once more only where the step has not begun: the last of them may be past the point.
    expect(turned).toBe('aborted');
    expect(await sideOf(shards.a)).toMatchObject({ state: 'ACTIVE', moved_to: null });
    await expectWhole(traffic, shards.a, shards.b);
  });

  test('between fence and activation gives the slot back under a higher epoch', async () => {
    const traffic = await loaded(300);
    traffic.start();
    await expect(drive({ onStep: dieAt('fenced') }).result).rejects.toThrow('died');
    expect(await sideOf(shards.a)).toMatchObject({ state: 'MOVED', moved_to: B });
    expect(await drive({ token: 2n, wishes: () => 'abort' }).result).toBe('aborted');
    expect(await sideOf(shards.a)).toMatchObject({ state: 'ACTIVE', epoch: 3n, move: null });
    expect(await sideOf(shards.b)).toMatchObject({ state: 'ABORTED', epoch: 2n });
    await expectWhole(traffic, shards.a, shards.b);
  });

  test.each(['reject', 'reactivate', 'clear', 'purge batch', 'aborted'])('that dies at step `%s` is completed, whatever is wished by then', async (step) => {
    const traffic = await loaded(300);
    traffic.start();
    await expect(drive({ onStep: dieAt('fenced') }).result).rejects.toThrow('died');
    await expect(drive({ token: 2n, wishes: () => 'abort', onStep: dieAt(step) }).result).rejects.toThrow(`died at ${step}`);
    expect(await drive({ token: 3n, wishes: () => (step === 'reject' ? 'abort' : 'forward') }).result).toBe('aborted');
    await expectWhole(traffic, shards.a, shards.b);
  });

  test('after the activation comes too late: the move goes forward', async () => {
    const traffic = await loaded(300);
    traffic.start();
    let wish: MoveWish = 'forward';
    expect(await drive({ wishes: () => wish, onStep: once('publish', async () => void (wish = 'abort')) }).result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('leaves the way free for the next move', async () => {
    const traffic = await loaded(300);
    traffic.start();
    let wish: MoveWish = 'forward';
    expect(await drive({ wishes: () => wish, onStep: once('check', async () => void (wish = 'abort')) }).result).toBe('aborted');
    expect(await drive({ order: order(2n) }).result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });
});

describe('a pause', () => {
  test.each(['chunk', 'check', 'purge batch'])('at step `%s` leaves the move where it is, until it goes on', async (step) => {
    const traffic = await loaded(300);
    traffic.start();
    let wish: MoveWish = 'forward';
    const pause = once(step, async () => void (wish = 'pause'));
    expect(await drive({ wishes: () => wish, onStep: pause }).result).toBe('paused');
    expect(await drive({ wishes: () => 'pause' }).result).toBe('paused');
    expect(await drive().result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });

  test('never lies between fence and activation', async () => {
    const traffic = await loaded(300);
    await expect(drive({ onStep: dieAt('fenced') }).result).rejects.toThrow('died');
    expect(await drive({ token: 2n, wishes: () => 'pause' }).result).toBe('paused');
    expect(await sideOf(shards.b)).toMatchObject({ state: 'ACTIVE' });
    expect(published.get(slot)).toBe(B);
    expect(await drive({ token: 2n }).result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });
});

test('the statistics of a shard share its rows and bytes out by what its slots have applied', async () => {
  await loaded();
  const [moved, other] = await slotStatistics(shards.a);
  expect(moved).toMatchObject({ slot });
  expect(moved!.rows).toBeGreaterThan(300n);
  expect(moved!.bytes).toBeGreaterThan(10_000n);
  expect(other).toEqual({ slot: neighbour, rows: 0n, bytes: 0n });
});
