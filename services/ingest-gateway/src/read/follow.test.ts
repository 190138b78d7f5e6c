import { afterAll, beforeEach, describe, expect, test } from '@jest/globals';
import { PgError, type Database } from '@millrace/postgres';
import { createTopology, type Topology } from '@millrace/ring';
import { createLog, sleep } from '@millrace/runtime';
import { UnknownShard } from '@millrace/topology';
import type { Epoch, ShardId, Slot } from '@millrace/write';
import { Refusal } from '../http/answer.ts';
import { createDeadlines } from '../http/deadlines.ts';
import { limits } from '../limits.ts';
import { createFollowSlot, type FollowOptions, type FollowSlot, type Held } from './follow.ts';
import type { SlotRow, SlotState } from './positions.sql.ts';
import { createWaits, type Waits } from './waits.ts';
import { createWatch, type Wanted, type Watch } from './watch.ts';

const [A, B, C] = ['a', 'b', 'c'] as ShardId[] as [ShardId, ShardId, ShardId];
const SLOT = 0 as Slot;
const log = createLog({ name: 'test', level: 'silent' });
const deadlines = createDeadlines(10);

/** The one slot's row and entity on a shard. */
interface Side {
  readonly state: SlotState;
  readonly movedTo?: ShardId;
  readonly position?: bigint;
}

type Row = SlotRow & { readonly shard: ShardId };

let sides: Map<ShardId, Side>;
let down: Set<ShardId>;
let unknown: Map<ShardId, Error>;
let asked: ShardId[];
let owner: ShardId;
/** What the control database says when it is asked. */
let newest: () => Promise<Topology>;
let refreshes: number;
/** Looks of the watch at positions. */
let polls: number;
let watch: Watch;
let waits: Waits;
let follow: FollowSlot;

const topologyOf = (shard: ShardId): Topology => createTopology({ epoch: 1 as Epoch, owners: [shard] });
const outage = (shard: ShardId): PgError => new PgError('is down', { kind: 'infrastructure', database: shard, statement: 'test' });

beforeEach(() => {
  [sides, down, unknown, asked, owner, refreshes, polls] = [new Map<ShardId, Side>(), new Set<ShardId>(), new Map<ShardId, Error>(), [], A, 0, 0];
  newest = async () => topologyOf(owner);
  const topology = {
    current: () => topologyOf(owner),
    refresh: async () => {
      refreshes += 1;
      const told = await newest();
      owner = told.owners[SLOT]!;
      return told;
    },
  };
  watch = createWatch({ database, deadlines, limits, log });
  waits = createWaits({ waitersMax: 200 });
  follow = createFollowSlot({ topology, database, watch, waits, log });
});

afterAll(() => deadlines.stop());

function rowOf(shard: ShardId): SlotRow | undefined {
  if (down.has(shard)) throw outage(shard);
  const side = sides.get(shard);
  return side && { slot_state: side.state, moved_to: side.movedTo ?? null, next_offset: side.position ?? 0n };
}

function database(shard: ShardId): Database {
  const missing = unknown.get(shard);
  if (missing) throw missing;
  const query = async (): Promise<readonly unknown[]> => {
    polls += 1;
    return [rowOf(shard)].flatMap((row) => (row ? [{ slot: SLOT, ...row }] : []));
  };
  return { name: shard, query } as unknown as Database;
}

function read(options: Partial<FollowOptions> = {}): Promise<Held<Row>> {
  const ask = async (_database: Database, shard: ShardId): Promise<Row | undefined> => {
    asked.push(shard);
    const row = rowOf(shard);
    return row && { ...row, shard };
  };
  return follow.read(SLOT, ask, { expiresAtMs: performance.now() + 20_000, ...options });
}

/** With no time to pause in. */
const atOnce = (): Partial<FollowOptions> => ({ expiresAtMs: performance.now() });
const soon = (): Partial<FollowOptions> => ({ expiresAtMs: performance.now() + 500 });

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await sleep(1);
}

/** The watch has seen what stands there now. */
async function watched(): Promise<void> {
  const before = polls;
  await until(() => polls > before + 2);
}

async function refusalOf(reading: Promise<unknown>): Promise<Refusal['document']> {
  const error = await reading.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Refusal);
  return (error as Refusal).document;
}

describe('a read of a slot that moved', () => {
  test('asks the owner alone while that holds the slot, moving or not', async () => {
    sides.set(A, { state: 'MOVING' }).set(B, { state: 'INCOMING' });
    expect(await read(atOnce())).toMatchObject({ shard: A });
    expect([asked, refreshes]).toEqual([[A], 0]);
  });

  test('follows signposts at once: A to B to C', async () => {
    sides.set(A, { state: 'MOVED', movedTo: B }).set(B, { state: 'MOVED', movedTo: C }).set(C, { state: 'ACTIVE' });
    expect(await read(atOnce())).toMatchObject({ shard: C });
    expect([asked, refreshes]).toEqual([[A, B, C], 0]);
  });

  test('waits between fence and activation, then answers from the new owner', async () => {
    sides.set(A, { state: 'MOVED', movedTo: B }).set(B, { state: 'INCOMING' });
    const reading = read();
    await until(() => watch.waiters() === 1);
    sides.set(B, { state: 'ACTIVE' });
    expect(await reading).toMatchObject({ shard: B });
    expect(asked).toEqual([A, B, B]);
  });

  test('a hundred of them wait with one question at a time', async () => {
    sides.set(A, { state: 'MOVED', movedTo: B }).set(B, { state: 'INCOMING' });
    newest = () => new Promise(() => undefined);
    const reading = Promise.all(Array.from({ length: 100 }, () => read()));
    await until(() => watch.waiters() === 100);
    expect([asked.length, refreshes]).toEqual([200, 1]);
    sides.set(B, { state: 'ACTIVE' });
    expect((await reading).map(({ shard }) => shard)).toEqual(Array<ShardId>(100).fill(B));
  });

  test('goes back where a move was aborted inside the fence', async () => {
    sides.set(A, { state: 'MOVED', movedTo: B }).set(B, { state: 'INCOMING' });
    const reading = read();
    await until(() => watch.waiters() === 1);
    sides.set(B, { state: 'ABORTED' });
    await until(() => asked.filter((shard) => shard === B).length > 2);
    sides.set(A, { state: 'ACTIVE' });
    expect(await reading).toMatchObject({ shard: A });
  });

  test('an old topology that leads into another move is asked for again', async () => {
    sides.set(A, { state: 'INCOMING' }).set(B, { state: 'MOVED', movedTo: A }).set(C, { state: 'MOVING' });
    newest = async () => topologyOf(C);
    expect(await read()).toMatchObject({ shard: C });
  });

  test('old signposts in a circle end where the topology names the owner', async () => {
    sides.set(A, { state: 'MOVED', movedTo: B }).set(B, { state: 'MOVED', movedTo: A }).set(C, { state: 'ACTIVE' });
    newest = async () => topologyOf(C);
    expect(await read()).toMatchObject({ shard: C });
  });

  test('a shard that never heard of the slot is no absence of what is read', async () => {
    sides.set(B, { state: 'ACTIVE' });
    newest = async () => topologyOf(B);
    expect(await read()).toMatchObject({ shard: B });
  });

  test('a control database that does not answer holds nobody up', async () => {
    sides.set(A, { state: 'ABORTED' });
    newest = () => new Promise(() => undefined);
    const reading = read();
    await until(() => asked.length > 2);
    sides.set(A, { state: 'ACTIVE' });
    expect(await reading).toMatchObject({ shard: A });
  });
});

describe('the end of a read’s time', () => {
  test('inside a fence it is unavailable, and says where it stands', async () => {
    sides.set(A, { state: 'MOVED', movedTo: B }).set(B, { state: 'INCOMING' });
    const { status, code, detail } = await refusalOf(read(soon()));
    expect([status, code, detail]).toEqual([503, 'shard_unavailable', 'slot 0 is on its way; shard b was asked last']);
  });

  test('with a receipt it is not yet applied', async () => {
    sides.set(A, { state: 'MOVED', movedTo: B }).set(B, { state: 'ACTIVE', position: 5n });
    expect(await refusalOf(read({ ...soon(), after: 5n }))).toMatchObject({ status: 503, code: 'not_yet_applied' });
  });

  test('where rows lead nowhere it comes too', async () => {
    sides.set(A, { state: 'ABORTED' });
    expect(await refusalOf(read(soon()))).toMatchObject({ status: 503, code: 'shard_unavailable' });
    expect(asked.length).toBeGreaterThan(1);
  });

  test('a shard that is down is refused at once', async () => {
    down.add(A);
    expect(await refusalOf(read())).toMatchObject({ status: 503, code: 'shard_unavailable', detail: 'shard a' });
    expect([asked, refreshes]).toEqual([[A], 1]);
  });

  test('a shard that is down is not the end where the slot has left it', async () => {
    down.add(A);
    sides.set(B, { state: 'ACTIVE' });
    newest = async () => topologyOf(B);
    expect(await read(atOnce())).toMatchObject({ shard: B });
  });
});

describe('a shard without an address', () => {
  test('is waited for', async () => {
    unknown.set(B, new UnknownShard(B, 'shards.json'));
    sides.set(A, { state: 'MOVED', movedTo: B }).set(B, { state: 'ACTIVE' });
    const reading = read();
    await until(() => asked.length > 2);
    unknown.clear();
    expect(await reading).toMatchObject({ shard: B });
  });

  test.each([['not named', new UnknownShard(B, 'shards.json')], ['in a file half written', new SyntaxError('Unexpected end of JSON input')]])('%s: 503 that names it', async (_, error) => {
    unknown.set(B, error);
    sides.set(A, { state: 'MOVED', movedTo: B });
    expect(await refusalOf(read(soon()))).toMatchObject({ status: 503, code: 'shard_unavailable', detail: 'shard b has no address in the shards file yet' });
    expect(await refusalOf(read({ ...soon(), after: 1n }))).toMatchObject({ status: 503, code: 'not_yet_applied' });
  });
});

describe('a read that awaits a saga', () => {
  const saga = { is: 'saga', key: 'k', from: 0n, ended: true } as const;

  test('asks again now and then, whatever the watch has seen', async () => {
    sides.set(A, { state: 'ACTIVE' });
    expect(await read({ awaits: () => (asked.length < 2 ? saga : undefined) })).toMatchObject({ shard: A });
    expect(asked).toEqual([A, A]);
  });

  test('is not in time where it does not come', async () => {
    sides.set(A, { state: 'ACTIVE', position: 5n });
    expect(await refusalOf(read({ ...soon(), after: 4n, awaits: () => saga }))).toMatchObject({ code: 'not_yet_applied' });
    expect([asked, watch.waiters()]).toEqual([[A], 0]);
  });

  test('asks the new owner when the slot goes there', async () => {
    sides.set(A, { state: 'ACTIVE', position: 5n });
    const reading = read({ after: 4n, awaits: (row) => ((row as Held<Row>).shard === A ? saga : undefined) });
    await until(() => watch.waiters() === 1);
    sides.set(B, { state: 'ACTIVE', position: 5n }).set(A, { state: 'MOVED', movedTo: B });
    expect(await reading).toMatchObject({ shard: B });
  });
});

describe('a wait', () => {
  test('that watches the old owner goes on at the new one, with the deadline it had', async () => {
    sides.set(A, { state: 'ACTIVE', position: 5n });
    const reading = read({ after: 7n, watchFirst: true });
    await until(() => watch.waiters() === 1);
    sides.set(B, { state: 'INCOMING' }).set(A, { state: 'MOVED', movedTo: B, position: 9n });
    await watched();
    sides.set(B, { state: 'ACTIVE', position: 6n });
    await watched();
    expect(asked).toEqual([]);
    sides.set(B, { state: 'ACTIVE', position: 8n });
    expect(await reading).toMatchObject({ shard: B, next_offset: 8n });
    expect(asked).toEqual([B]);
  });

  test('keeps its deadline over a move', async () => {
    sides.set(A, { state: 'MOVED', movedTo: B }).set(B, { state: 'ACTIVE', position: 5n });
    expect(await refusalOf(read({ ...soon(), after: 7n, watchFirst: true }))).toMatchObject({ code: 'not_yet_applied' });
    expect([watch.waiters(), waits.count()]).toEqual([0, 0]);
  });

  test('at a shard that went down goes on at the owner that the topology names by then', async () => {
    down.add(A);
    sides.set(B, { state: 'ACTIVE', position: 8n });
    const reading = read({ after: 7n, watchFirst: true });
    await until(() => watch.waiters() === 1);
    owner = B;
    expect(await reading).toMatchObject({ shard: B });
    expect(refreshes).toBe(0);
  });

  test('keeps its place until it is answered; where there is none, who would wait is refused at once, and who need not is answered', async () => {
    sides.set(A, { state: 'ACTIVE', position: 5n });
    const places = 200;
    const taken: number[] = [];
    const awaits = (): Wanted | undefined => (taken.push(waits.count()) <= places ? { is: 'saga', key: 'k', from: 0n, ended: true } : undefined);
    const waiting = Array.from({ length: places }, () => read({ after: 4n, awaits }));
    await until(() => watch.waiters() === places);
    const refusals = [read({ after: 7n }), read({ after: 7n, watchFirst: true })].map(refusalOf);
    for (const refusal of await Promise.all(refusals)) expect(refusal).toMatchObject({ code: 'too_many_requests' });
    expect(await read({ after: 4n })).toMatchObject({ shard: A });
    expect(await Promise.all(waiting)).toHaveLength(places);
    // Between two waits it asks again, and its place is still its own.
    expect([taken[places], waits.count()]).toEqual([places, 0]);
  });

  test('that pauses where rows lead nowhere has a place too', async () => {
    const wandering = read(soon());
    await until(() => asked.length > 1);
    expect(waits.count()).toBe(1);
    expect(await refusalOf(wandering)).toMatchObject({ code: 'shard_unavailable' });
  });

  test('is never answered from rows below its offset', async () => {
    sides.set(A, { state: 'ACTIVE', position: 7n });
    const reading = read({ after: 7n });
    await until(() => watch.waiters() === 1);
    sides.set(A, { state: 'MOVED', movedTo: B, position: 9n }).set(B, { state: 'ACTIVE', position: 9n });
    expect(await reading).toMatchObject({ shard: B, next_offset: 9n });
  });
});
