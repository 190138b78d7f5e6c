/** Plans from preview to end, through the admin API; the movers are played by the test. */
import { describe, expect, test } from '@jest/globals';
import type { Topology } from '@millrace/ring';
import { prepareShard } from '@millrace/slot-processor';
import { until } from '@millrace/testkit';
import { createShards, readTopology } from '@millrace/topology';
import type { ShardId } from '@millrace/write';
import { changing } from '../../services/ring-manager/src/control/change.ts';
import { underLease } from '../../services/ring-manager/src/control/lease.sql.ts';
import { activateMembers } from '../../services/ring-manager/src/control/members.sql.ts';
import { endPlans } from '../../services/ring-manager/src/control/plans.sql.ts';
import { endMove } from '../../services/ring-manager/src/engine/moves.sql.ts';
import { makeOwner } from '../../services/ring-manager/src/engine/owner.ts';
import { A, admin, audited, B, byHand, cleanups, contents, control, first, leads, log, OWNER, playMover, serve, shards, shardsFile, SLOTS, slotsOn, startInstance, tablesOf, takeOver, untilMove, untilPlan, useControl, withDatabase, writeShards, type Body } from './ring-control.ts';

useControl();

describe('a plan', () => {
  const preview = async (body: unknown = { changes: [{ shard: 'c' }] }): Promise<Body> => {
    const { status, json } = await admin.call('POST', '/v1/plans', body);
    expect({ status, code: json.code }).toEqual({ status: 201, code: undefined });
    return json;
  };

  test('shows what would move, how much, and what each shard carries, and changes no member, move or epoch', async () => {
    const before = await contents();
    const plan = await preview();
    expect(plan).toMatchObject({ id: '1', state: 'preview', by: 'slots', base_epoch: 1, changes: [{ shard: 'c' }], progress: { done: 0 } });
    expect(plan.moves.length).toBeGreaterThanOrEqual(2);
    expect(plan.moves.every(({ target }) => target === 'c')).toBe(true);
    const moved = plan.moves.reduce((sum, { bytes }) => sum + bytes, 0);
    expect(plan.estimate).toMatchObject({ rows: 100 * plan.moves.length, bytes: moved, stall_ms: 100 });
    expect(plan.estimate.seconds).toBeGreaterThan(0);
    expect(plan.load.map(({ shard }) => shard)).toEqual(['a', 'b', 'c']);
    expect(plan.load.map(({ before: was }) => was)).toEqual([4, 4, 0]);
    expect(plan.load.reduce((sum, { after }) => sum + after, 0)).toBe(SLOTS);
    const after = await contents();
    for (const table of ['member', 'move', 'topology']) expect(after[table]).toEqual(before[table]);
    expect(await tablesOf('shard_c')).toEqual([]);
  });

  test('can even out bytes, and what is written in a second', async () => {
    const bytes = await preview({ by: 'bytes', changes: [{ shard: 'c' }] });
    expect(bytes.load.reduce((sum, { before }) => sum + before, 0)).toBe(360_000);
    const written = slotsOn(first, A)[0]!;
    const writing = setInterval(() => void shards.get(A).query({ text: `update position set next_offset = next_offset + 100 where slot = ${written} and stream = 'writes'` }), 100);
    const rate = await preview({ by: 'rate' }).finally(() => clearInterval(writing));
    const load = rate.load.find(({ shard }) => shard === 'a');
    expect(load?.before).toBeGreaterThan(0);
    expect(rate.load.find(({ shard }) => shard === 'b')?.before).toBe(0);
  });

  test('is started, moves its slots a few at a time, and ends; who joined is active then', async () => {
    const played = playMover({ gated: true });
    const one = startInstance('one', played);
    await leads(one);
    const { id, moves } = await preview({ changes: [{ shard: 'c', weight: 2 }] });
    const started = await admin.call('POST', `/v1/plans/${id}/start`);
    expect(started.json).toMatchObject({ id, state: 'running', progress: { moves: moves.length, done: 0, aborted: 0 } });
    expect((await admin.call('GET', '/v1/shards')).json.shards).toMatchObject([{ shard: 'a' }, { shard: 'b' }, { shard: 'c', state: 'joining', weight: 2, slots: 0 }]);
    await until('movers are at work', () => played.orders.length === 3);
    const running = (await admin.call('GET', `/v1/moves?plan=${id}&open=true`)).json.moves.filter(({ state }) => state === 'running');
    expect(running.length).toBe(3);
    const pairs = Map.groupBy(played.orders, ({ source }) => source);
    for (const [, those] of pairs) expect(those.length).toBeLessThanOrEqual(2);
    played.openGate();
    await untilPlan(id, 'done');
    const plan = (await admin.call('GET', `/v1/plans/${id}`)).json;
    expect(plan.progress).toEqual({ moves: moves.length, done: moves.length, aborted: 0, rows: 10 * moves.length, bytes: 5_000_000 * moves.length });
    const topology = (await admin.call('GET', '/v1/topology')).json;
    expect(topology.epoch).toBe(1 + moves.length);
    for (const { slot } of moves) expect(topology.owners[slot]).toBe('c');
    await until('c is active', async () => (await admin.call('GET', '/v1/shards')).json.shards[2]?.state === 'active');
    expect(one.announced.at(-1)?.epoch).toBe(1 + moves.length);
    const lines = await audited();
    for (const line of [`admin plan.preview plan ${id}`, `admin plan.start plan ${id}`, `one plan.done plan ${id}`, 'one shard.active shard c', 'one move.start move 1', 'one move.done move 1', 'one topology.publish epoch 2']) {
      expect(lines).toContain(line);
    }
    // The next estimate is from what was measured.
    expect((await preview()).estimate.stall_ms).toBe(42);
  });

  test('is refused once an owner, or a member, is another than it was made for', async () => {
    const byOwner = await preview();
    const other = first.owners.findIndex((_, slot) => !byOwner.moves.some((move) => move.slot === slot));
    const move = await byHand(other);
    // It is known by then where the slot will be.
    expect((await admin.call('POST', `/v1/plans/${byOwner.id}/start`)).json.code).toBe('plan_outdated');
    const played = playMover();
    startInstance('one', played);
    await untilMove(move, 'done');
    expect((await admin.call('POST', `/v1/plans/${byOwner.id}/start`)).json.code).toBe('plan_outdated');
    const byMember = await preview();
    await admin.call('PATCH', '/v1/shards/a', { weight: 3 });
    const before = await contents();
    expect((await admin.call('POST', `/v1/plans/${byMember.id}/start`)).json.code).toBe('plan_outdated');
    expect(await contents()).toEqual(before);
  });

  test('is started while moves go on and make epochs as it counted on them', async () => {
    const played = playMover({ gated: true });
    startInstance('one', played);
    const [before, after] = [await byHand(0), await byHand(1)];
    const { id, moves, ...plan } = await preview();
    expect(plan).toMatchObject({ balance: expect.any(Number), bound: expect.any(Number) });
    expect(moves.map(({ slot }) => slot)).not.toContain(0);
    played.openGate();
    await Promise.all([before, after].map((move) => untilMove(move, 'done')));
    expect((await admin.call('GET', '/v1/topology')).json.epoch).toBe(3);
    expect((await admin.call('POST', `/v1/plans/${id}/start`)).status).toBe(202);
    await untilPlan(id, 'done');
  });

  test('can be looked at while a shard is down, by slots, and says what it was made without', async () => {
    await shards.end();
    writeShards({ a: 'shard_a', b: 'postgres://nobody@127.0.0.1:1/none' });
    const reopened = createShards({ file: shardsFile, log, settings: OWNER });
    const down = await serve({ shards: reopened });
    cleanups.push(() => reopened.end());
    const { status, json } = await down.call('POST', '/v1/plans', { changes: [{ shard: 'c' }] });
    expect({ status, note: (json as { note?: string }).note }).toEqual({ status: 201, note: expect.stringContaining('shard b') });
    expect((await down.call('POST', '/v1/plans', { by: 'bytes' })).json.code).toBe('shard_unavailable');
  });

  test('in a list is without its moves; previews that nobody started are forgotten after a day', async () => {
    const old = await preview();
    await control.query({ text: `update plan set created_at = now() - interval '25 hours'` });
    const { id, moves } = await preview();
    const { plans } = (await admin.call('GET', '/v1/plans')).json as unknown as { plans: readonly Body[] };
    expect(plans.map((plan) => [plan.id, plan.progress.moves, plan.moves])).toEqual([[id, moves.length, undefined]]);
    expect((await admin.call('GET', `/v1/plans/${old.id}`)).json.code).toBe('unknown_plan');
    expect((await admin.call('GET', '/v1/plans?limit=501')).json.code).toBe('invalid_parameter');
  });

  test('that is aborted ends also where a move of it rests past its activation', async () => {
    const token = await takeOver('one');
    const { id, moves } = await preview();
    await admin.call('POST', `/v1/plans/${id}/start`);
    const [late] = (await admin.call('GET', `/v1/moves?plan=${id}`)).json.moves as unknown as readonly Body[];
    await control.query({ text: `update move set state = 'running', phase = 'activated' where id = $1`, values: [late!.id] });
    await admin.call('POST', `/v1/moves/${late!.id}/pause`);
    await admin.call('POST', `/v1/plans/${id}/abort`);
    expect((await admin.call('GET', `/v1/moves/${late!.id}`)).json).toMatchObject({ state: 'running', paused: false });
    await underLease(control, token, (tx) => endMove(tx, { id: BigInt(late!.id), as: 'done' }));
    await underLease(control, token, endPlans);
    expect((await admin.call('GET', `/v1/plans/${id}`)).json).toMatchObject({ state: 'aborted', progress: { done: 1, aborted: moves.length - 1 } });
  });

  test('to empty a shard that is aborted before anything has moved keeps the shard; after that, and where it drained before, it stays draining', async () => {
    const token = await takeOver('one');
    const stateOfB = async () => (await admin.call('GET', '/v1/shards')).json.shards.find(({ shard }) => shard === 'b')?.state;
    const aborted = async (end: () => Promise<unknown>): Promise<void> => {
      const { id } = (await admin.call('POST', '/v1/shards/b/drain')).json;
      await end();
      await admin.call('POST', `/v1/plans/${id}/abort`);
      await underLease(control, token, endPlans);
      expect((await admin.call('GET', `/v1/plans/${id}`)).json.state).toBe('aborted');
    };
    await aborted(() => Promise.resolve());
    expect(await stateOfB()).toBe('active');
    await aborted(() => control.query({ text: `update move set state = 'done' where id = (select max(id) from move)` }));
    expect(await stateOfB()).toBe('draining');
    await aborted(() => Promise.resolve());
    expect(await stateOfB()).toBe('draining');
  });

  test('that was never started has no way back', async () => {
    const { id } = await preview();
    await admin.call('POST', `/v1/plans/${id}/abort`);
    expect((await admin.call('POST', '/v1/plans', { reverse_of: id })).json.code).toBe('plan_state');
  });

  test('is started once, however often and wherever it is asked for', async () => {
    const { id, moves } = await preview();
    const other = await serve();
    const replies = await Promise.all([admin, other, admin, other].map((instance) => instance.call('POST', `/v1/plans/${id}/start`)));
    expect(replies.map(({ status }) => status).sort()).toEqual([202, 409, 409, 409]);
    expect(replies.filter(({ status }) => status === 409).map(({ json }) => json.code)).toEqual(Array.from({ length: 3 }, () => 'plan_state'));
    expect((await admin.call('GET', `/v1/moves?plan=${id}`)).json.moves).toHaveLength(moves.length);
  });

  test('R3 of two plans with a slot in common one is started, all or nothing', async () => {
    const [one, two] = [await preview(), await preview()];
    const other = await serve();
    const replies = await Promise.all([admin.call('POST', `/v1/plans/${one.id}/start`), other.call('POST', `/v1/plans/${two.id}/start`)]);
    expect(replies.map(({ status }) => status).sort()).toEqual([202, 409]);
    // Who comes second meets a member that has joined meanwhile, before it meets the slots.
    expect(replies.find(({ status }) => status === 409)?.json.code).toBe('plan_outdated');
    expect((await admin.call('GET', '/v1/moves')).json.moves).toHaveLength(one.moves.length);
  });

  test('R3 with a slot that moves already is not started, not even in part', async () => {
    const { id, moves } = await preview({ changes: [{ shard: 'b', state: 'draining' }] });
    await byHand(moves[0]!.slot);
    const before = await contents();
    const refused = await admin.call('POST', `/v1/plans/${id}/start`);
    expect(refused).toMatchObject({ status: 409, json: { code: 'slot_moving', slots: [moves[0]!.slot] } });
    expect(await contents()).toEqual(before);
  });

  test('that empties a shard is not started while a slot is on its way there', async () => {
    const { id } = await preview({ changes: [{ shard: 'b', state: 'draining' }] });
    await byHand(slotsOn(first, A)[0]!);
    const before = await contents();
    expect((await admin.call('POST', `/v1/plans/${id}/start`)).json.code).toBe('slot_moving');
    expect(await contents()).toEqual(before);
  });

  test('that counted on a move which was turned back is outdated', async () => {
    const [slot] = slotsOn(first, A);
    const move = await byHand(slot!);
    const { id, moves } = await preview({ changes: [{ shard: 'b', state: 'draining' }] });
    expect(moves).toContainEqual(expect.objectContaining({ slot, source: 'b', target: 'a' }));
    await admin.call('POST', `/v1/moves/${move}/abort`);
    const before = await contents();
    expect((await admin.call('POST', `/v1/plans/${id}/start`)).json.code).toBe('plan_outdated');
    expect(await contents()).toEqual(before);
  });

  test('is not started with a shard that has become foreign since the preview', async () => {
    const { id } = await preview();
    await withDatabase('shard_c', (database) => prepareShard({ database, identity: { clusterId: '00000000-0000-4000-8000-000000000000', shard: 'c' as ShardId, slots: SLOTS }, log }));
    const before = await contents();
    expect((await admin.call('POST', `/v1/plans/${id}/start`)).json.code).toBe('foreign_shard');
    expect(await contents()).toEqual(before);
  });

  test('reads a topology that nobody changes before it has started', async () => {
    const token = await takeOver('one');
    const order = { id: 1n, slot: slotsOn(first, A)[0]!, source: A, target: B };
    const epochs: (number | undefined)[] = [];
    const publishing: Promise<Topology>[] = [];
    await changing(control, async (tx) => {
      publishing.push(makeOwner({ control, token, order, instance: 'one' }));
      await until('the epoch waits for the change', async () => (await control.query({ text: `select pid from pg_stat_activity where datname = 'control' and wait_event_type = 'Lock'` })).length > 0, { deadlineMs: 10_000 });
      epochs.push((await readTopology(tx))?.epoch);
    });
    expect(epochs).toEqual([1]);
    expect((await Promise.all(publishing))[0]?.epoch).toBe(2);
  });

  test('that is paused starts no move, and goes on when it is resumed', async () => {
    const played = playMover({ gated: true });
    startInstance('one', played);
    const { id, moves } = await preview();
    await admin.call('POST', `/v1/plans/${id}/start`);
    await until('movers are at work', () => played.orders.length > 0);
    expect((await admin.call('POST', `/v1/plans/${id}/pause`)).json.state).toBe('paused');
    const paused = (await admin.call('GET', `/v1/moves?plan=${id}`)).json.moves;
    expect(paused.every(({ paused: rests }) => rests)).toBe(true);
    const begun = played.orders.length;
    await until('the movers rest', () => played.ends.length === begun);
    expect(played.ends.every((end) => end.endsWith('paused'))).toBe(true);
    played.openGate();
    // Another move shows that the leader is at work.
    await untilMove(await byHand(first.owners.findIndex((_, slot) => !moves.some((move) => move.slot === slot))), 'done');
    expect(played.orders).toHaveLength(begun + 1);
    expect((await admin.call('POST', `/v1/plans/${id}/pause`)).json.code).toBe('plan_state');
    expect((await admin.call('POST', `/v1/plans/${id}/resume`)).json.state).toBe('running');
    await untilPlan(id, 'done');
    expect((await admin.call('GET', `/v1/plans/${id}`)).json.progress.done).toBe(moves.length);
    expect((await admin.call('POST', `/v1/plans/${id}/resume`)).json.code).toBe('plan_state');
  });

  test('that is aborted turns back what is open; what has not begun ends at once', async () => {
    const played = playMover({ gated: true });
    startInstance('one', played);
    const { id, moves } = await preview({ changes: [{ shard: 'b', state: 'draining' }] });
    await admin.call('POST', `/v1/plans/${id}/start`);
    await until('movers are at work', () => played.orders.length === 2);
    expect((await admin.call('POST', `/v1/plans/${id}/abort`)).json.state).toBe('aborting');
    await untilPlan(id, 'aborted');
    expect((await admin.call('GET', `/v1/plans/${id}`)).json.progress).toMatchObject({ moves: moves.length, done: 0, aborted: moves.length });
    expect(played.orders).toHaveLength(2);
    expect((await admin.call('GET', '/v1/topology')).json.epoch).toBe(1);
    expect((await admin.call('POST', `/v1/plans/${id}/abort`)).json.code).toBe('plan_state');
    const dropped = await preview();
    expect((await admin.call('POST', `/v1/plans/${dropped.id}/abort`)).json.state).toBe('aborted');
  });

  test('that has ended is reversed: its moves the other way, its members as they were', async () => {
    startInstance('one', playMover());
    const drained = await admin.call('POST', '/v1/shards/b/drain');
    expect(drained.status).toBe(202);
    const { id } = drained.json;
    expect((await admin.call('POST', '/v1/plans', { reverse_of: id })).json.code).toBe('plan_state');
    await untilPlan(String(id), 'done');
    expect((await admin.call('GET', '/v1/shards')).json.shards).toMatchObject([{ shard: 'a', slots: SLOTS }, { shard: 'b', state: 'draining', slots: 0 }]);
    const back = await preview({ reverse_of: id });
    expect(back).toMatchObject({ reverse_of: id, changes: [{ shard: 'b', state: 'active', weight: 1 }] });
    expect(back.moves.map(({ slot, source, target }) => ({ slot, source, target }))).toEqual(slotsOn(first, B).map((slot) => ({ slot, source: 'a', target: 'b' })));
    await admin.call('POST', `/v1/plans/${back.id}/start`);
    await untilPlan(back.id, 'done');
    const topology = (await admin.call('GET', '/v1/topology')).json;
    expect(topology.owners).toEqual(first.owners);
    expect((await admin.call('GET', '/v1/shards')).json.shards[1]).toMatchObject({ shard: 'b', state: 'active' });
    expect((await admin.call('POST', '/v1/plans', { reverse_of: '77' })).json.code).toBe('unknown_plan');
  });

  test('whose shard got a part of its slots does not make it active while more are on their way', async () => {
    const token = await takeOver('one');
    await byHand(slotsOn(first, A)[0]!);
    await control.query({ text: `update member set state = 'joining' where shard = 'b'` });
    expect(await underLease(control, token, activateMembers)).toEqual([]);
    await control.query({ text: `update move set state = 'done'` });
    expect(await underLease(control, token, activateMembers)).toEqual(['b']);
  });

  test('to empty a shard that is empty ends at once, and the shard can leave', async () => {
    startInstance('one', playMover());
    expect((await admin.call('POST', '/v1/shards', { shard: 'c' })).json).toMatchObject({ shard: 'c', state: 'joining', slots: 0 });
    const { id } = (await admin.call('POST', '/v1/shards/c/drain')).json;
    await untilPlan(String(id), 'done');
    expect((await admin.call('DELETE', '/v1/shards/c')).status).toBe(204);
    expect((await admin.call('GET', '/v1/shards')).json.shards.map(({ shard }) => shard)).toEqual(['a', 'b']);
    // It may come back, with what its database still holds.
    expect((await admin.call('POST', '/v1/shards', { shard: 'c', weight: 4 })).json).toMatchObject({ state: 'joining', weight: 4 });
  });
});
