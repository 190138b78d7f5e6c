import { afterEach, beforeEach, describe, expect, jest, test } from '@jest/globals';
import fc from 'fast-check';
import type { Database, Sql } from '@millrace/postgres';
import { createTopology, type Topology } from '@millrace/ring';
import { createLog } from '@millrace/runtime';
import type { Epoch, ShardId, Slot } from '@millrace/write';
import { createShardFinder, directionOf, lookAgainMs } from './find-shard.ts';
import { LOOK, WAIT_HERE_MS } from './limits.ts';
import type { SlotSign } from './slot-sign.sql.ts';

const HOUR_MS = 3_600_000;
const slot = 0 as Slot;
const [a, b, c] = ['a', 'b', 'c'] as [ShardId, ShardId, ShardId];
const log = createLog({ name: 'test', level: 'silent' });

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

describe('the wait before the next look', () => {
  test('grows with the search, stays within its limits, and never makes a search longer by more than its share', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: HOUR_MS, noNaN: true }), fc.double({ min: 0, max: HOUR_MS, noNaN: true }), (one, other) => {
        const waitMs = lookAgainMs(one);
        expect(waitMs).toBeGreaterThanOrEqual(LOOK.minMs);
        expect(waitMs).toBeLessThanOrEqual(LOOK.maxMs);
        expect(waitMs).toBeLessThanOrEqual(Math.max(LOOK.minMs, one / LOOK.share));
        if (one <= other) expect(waitMs).toBeLessThanOrEqual(lookAgainMs(other));
      }),
    );
  });
});

describe('what a row says', () => {
  test.each([
    ['ACTIVE', null, { kind: 'here' }],
    ['MOVING', null, { kind: 'here' }],
    ['INCOMING', null, { kind: 'wait' }],
    ['MOVED', b, { kind: 'there', shard: b }],
    ['ABORTED', null, { kind: 'ask' }],
  ] as const)('%s', (state, moved_to, direction) => expect(directionOf({ state, moved_to })).toEqual(direction));
  test('no row', () => expect(directionOf(undefined)).toEqual({ kind: 'ask' }));
});

type Row = Pick<SlotSign, 'state' | 'moved_to'> | 'down' | undefined;

/** Shards whose rows the test sets, and the topology; counts what each is asked. */
function world(rows: Map<ShardId, Row>) {
  const asked = { looks: 0, topology: 0, log: [] as ShardId[] };
  let owner = a;
  const topologyNow = (): Topology => createTopology({ epoch: 1 as Epoch, owners: [owner] });
  const stop = new AbortController();
  const finder = createShardFinder({
    topology: {
      current: topologyNow,
      refresh: async () => {
        asked.topology += 1;
        return topologyNow();
      },
    },
    shards: {
      get: (id) =>
        ({
          async query(_: Sql) {
            asked.looks += 1;
            asked.log.push(id);
            const row = rows.get(id);
            if (row === 'down') throw new Error('connection refused');
            return row ? [{ slot, ...row }] : [];
          },
        }) as Partial<Database> as Database,
    },
    log,
    signal: stop.signal,
  });
  return { finder, asked, stop, setOwner: (shard: ShardId) => (owner = shard) };
}

describe('a search', () => {
  const find = ({ finder }: ReturnType<typeof world>, movedTo?: ShardId, wanted = () => true): Promise<ShardId | undefined> =>
    finder.find({ slot, movedTo, sinceMs: performance.now(), wanted });

  test('follows signposts at once, without a wait and without the topology', async () => {
    const at = world(new Map<ShardId, Row>([[b, { state: 'MOVED', moved_to: c }], [c, { state: 'ACTIVE', moved_to: null }]]));
    await expect(find(at, b)).resolves.toBe(c);
    expect(at.asked).toMatchObject({ log: [b, c], topology: 0 });
  });

  test('notices an activation soon: no later than an eighth of what the move took', async () => {
    for (const moveMs of [1, 20, 60, 125, 500]) {
      const rows = new Map<ShardId, Row>([[b, { state: 'INCOMING', moved_to: null }]]);
      const at = world(rows);
      const startedAtMs = performance.now();
      setTimeout(() => rows.set(b, { state: 'ACTIVE', moved_to: null }), moveMs);
      const found = find(at, b);
      await jest.advanceTimersByTimeAsync(2 * moveMs + 2 * LOOK.minMs);
      await expect(found.then(() => performance.now())).resolves.toBeLessThanOrEqual(startedAtMs + 2 * moveMs + 2 * LOOK.minMs);
      expect(at.asked.topology).toBe(0);
      expect(at.asked.looks).toBeLessThan(60);
    }
  });

  test('of an hour asks the target a few times a second and the control database not at all', async () => {
    const at = world(new Map<ShardId, Row>([[a, { state: 'MOVED', moved_to: b }], [b, { state: 'INCOMING', moved_to: null }]]));
    const searching = find(at, b).catch(String);
    await jest.advanceTimersByTimeAsync(HOUR_MS);
    expect(at.asked.looks).toBeLessThan((HOUR_MS / LOOK.maxMs + HOUR_MS / WAIT_HERE_MS) * 1.02);
    expect(at.asked.topology).toBe(0);
    at.stop.abort(new Error('over'));
    await expect(searching).resolves.toContain('over');
  });

  test('finds the target that was down for an hour, and hammers nobody meanwhile', async () => {
    const rows = new Map<ShardId, Row>([[a, { state: 'MOVED', moved_to: b }], [b, 'down']]);
    const at = world(rows);
    const found = find(at, b);
    await jest.advanceTimersByTimeAsync(HOUR_MS);
    expect(at.asked.looks).toBeLessThan((2 * HOUR_MS * 1.02) / LOOK.maxMs);
    expect(at.asked.topology).toBeLessThan((HOUR_MS * 1.02) / LOOK.maxMs);
    rows.set(b, { state: 'ACTIVE', moved_to: null });
    await jest.advanceTimersByTimeAsync(2 * LOOK.maxMs);
    await expect(found).resolves.toBe(b);
  });

  test('goes back to the source after an abort', async () => {
    const rows = new Map<ShardId, Row>([[a, { state: 'MOVED', moved_to: b }], [b, { state: 'INCOMING', moved_to: null }]]);
    const at = world(rows);
    const found = find(at, b);
    await jest.advanceTimersByTimeAsync(50);
    rows.set(b, { state: 'ABORTED', moved_to: null });
    await jest.advanceTimersByTimeAsync(50);
    rows.set(a, { state: 'ACTIVE', moved_to: null });
    await jest.advanceTimersByTimeAsync(50);
    await expect(found).resolves.toBe(a);
  });

  test('is not caught by a circle of signposts, and leaves an old one for where the topology says', async () => {
    const rows = new Map<ShardId, Row>([[a, { state: 'MOVED', moved_to: b }], [b, { state: 'MOVED', moved_to: a }], [c, { state: 'ACTIVE', moved_to: null }]]);
    const at = world(rows);
    const found = find(at, b);
    await jest.advanceTimersByTimeAsync(1_000);
    expect(at.asked.looks).toBeLessThan(300);
    at.setOwner(c);
    await jest.advanceTimersByTimeAsync(1_000);
    await expect(found).resolves.toBe(c);
  });

  test('that waits at the target of another move finds the owner that the topology names', async () => {
    const at = world(new Map<ShardId, Row>([[b, { state: 'INCOMING', moved_to: null }], [c, { state: 'ACTIVE', moved_to: null }]]));
    at.setOwner(c);
    const found = find(at, b);
    await jest.advanceTimersByTimeAsync(WAIT_HERE_MS + 2 * LOOK.maxMs);
    await expect(Promise.race([found, Promise.resolve('searching')])).resolves.toBe(c);
  });

  test('ends when nobody waits for it', async () => {
    let wanted = true;
    const at = world(new Map<ShardId, Row>([[b, { state: 'INCOMING', moved_to: null }]]));
    const found = find(at, b, () => wanted);
    await jest.advanceTimersByTimeAsync(1_000);
    wanted = false;
    await jest.advanceTimersByTimeAsync(LOOK.maxMs);
    await expect(found).resolves.toBeUndefined();
  });

  test('of many slots at one shard asks one question at a time', async () => {
    const answers: (() => void)[] = [];
    const questions: number[][] = [];
    const database: Partial<Database> = {
      query<R>({ values }: Sql) {
        const slots = (values as [number[]])[0];
        questions.push(slots);
        return new Promise<readonly R[]>((resolve) => answers.push(() => resolve(slots.map((each) => ({ slot: each, state: 'ACTIVE', moved_to: null })) as R[])));
      },
    };
    const { signal } = new AbortController();
    const finder = createShardFinder({ topology: { current: () => createTopology({ epoch: 1 as Epoch, owners: [b] }), refresh: () => Promise.reject(new Error('not asked')) }, shards: { get: () => database as Database }, log, signal });
    const one = (id: number) => finder.find({ slot: id as Slot, movedTo: b, sinceMs: 0, wanted: () => true });
    const first = one(0);
    await jest.advanceTimersByTimeAsync(0);
    const others = Promise.all([1, 2, 3].map(one));
    await jest.advanceTimersByTimeAsync(0);
    expect(questions).toEqual([[0]]);
    answers[0]?.();
    await expect(first).resolves.toBe(b);
    await jest.advanceTimersByTimeAsync(0);
    expect(questions).toEqual([[0], [1, 2, 3]]);
    answers[1]?.();
    await expect(others).resolves.toEqual([b, b, b]);
  });
});
