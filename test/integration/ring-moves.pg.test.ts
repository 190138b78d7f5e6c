/** Moves that the leader drives, through the admin API; the movers are played by the test. */
import { describe, expect, test } from '@jest/globals';
import { PgError } from '@millrace/postgres';
import { until } from '@millrace/testkit';
import { proposeTopology } from '@millrace/topology';
import type { Epoch } from '@millrace/write';
import type { routesOf } from '../../services/ring-manager/src/api/routes.ts';
import { underLease } from '../../services/ring-manager/src/control/lease.sql.ts';
import { beginMove, endMove, noteError, noteProgress, turnBack } from '../../services/ring-manager/src/engine/moves.sql.ts';
import { VerificationFailed } from '../../services/ring-manager/src/move/types.ts';
import { A, admin, audited, B, byHand, contents, control, first, leads, moveState, playMover, serve, startInstance, takeOver, untilMove, useControl } from './ring-control.ts';

useControl();

describe('a move', () => {
  test('by hand is driven to its end, with what its mover tells', async () => {
    const one = startInstance('one', playMover());
    const id = await byHand(3);
    await untilMove(id, 'done');
    expect((await admin.call('GET', `/v1/moves/${id}`)).json).toMatchObject({ id, slot: 3, phase: 'done', paused: false, progress: { rows: 10, bytes: 5_000_000, rounds: 1, stall_ms: 42 } });
    expect(one.announced.at(-1)?.epoch).toBe(2);
    expect(await audited()).toEqual(expect.arrayContaining([`admin move.request move ${id}`, `one move.start move ${id}`, `one move.done move ${id}`]));
  });

  test('that is paused rests, and goes on when it is resumed', async () => {
    const played = playMover({ gated: true });
    startInstance('one', played);
    const id = await byHand(3);
    await untilMove(id, 'running');
    expect((await admin.call('POST', `/v1/moves/${id}/pause`)).json).toMatchObject({ id, paused: true });
    await until('its mover has let go', () => played.ends.length === 1);
    played.openGate();
    await untilMove(await byHand(4), 'done');
    expect(played.ends).toEqual([`${id} paused`, expect.stringContaining('done')]);
    expect(await moveState(id)).toBe('running');
    expect((await admin.call('POST', `/v1/moves/${id}/resume`)).json).toMatchObject({ id, paused: false });
    await untilMove(id, 'done');
    expect((await admin.call('POST', `/v1/moves/${id}/pause`)).json.code).toBe('move_state');
    expect((await admin.call('POST', `/v1/moves/${id}/resume`)).json.code).toBe('move_state');
    expect((await admin.call('POST', `/v1/moves/${id}/abort`)).json.code).toBe('move_state');
  });

  test('that is aborted is undone by its mover; before it began it ends at once; past its activation it goes on', async () => {
    const unled = await byHand(1);
    expect((await admin.call('POST', `/v1/moves/${unled}/abort`)).json).toMatchObject({ state: 'aborted', phase: 'aborted' });
    const played = playMover({ gated: true });
    startInstance('one', played);
    const id = await byHand(3);
    await untilMove(id, 'running');
    expect((await admin.call('POST', `/v1/moves/${id}/abort`)).json.state).toBe('aborting');
    await untilMove(id, 'aborted');
    expect((await admin.call('GET', '/v1/topology')).json.epoch).toBe(1);
    const late = await byHand(3);
    await until('its mover has reported', async () => (await control.query({ text: `select 1 from move where id = ${late} and phase = 'copying'` })).length === 1);
    await control.query({ text: `update move set phase = 'purging' where id = ${late}` });
    const before = await contents();
    expect((await admin.call('POST', `/v1/moves/${late}/abort`)).json.code).toBe('move_state');
    expect((await contents())['audit']).toEqual(before['audit']);
  });

  test('whose copy is not equal is turned back, and keeps why', async () => {
    const played = playMover({
      act: async ({ order, wish }) => {
        if ((await wish()) === 'abort') return 'aborted';
        throw new VerificationFailed(order, 'table account, all keys: a has 3 rows, b has 2');
      },
    });
    startInstance('one', played);
    const id = await byHand(3);
    await untilMove(id, 'aborted');
    const { json } = await admin.call('GET', `/v1/moves/${id}`);
    expect(json.error).toContain('table account, all keys');
    expect((await admin.call('GET', '/v1/topology')).json.epoch).toBe(1);
    expect(await audited()).toContain(`one move.failed move ${id}`);
  });

  test('that its mover gives up says why, is tried again, and holds no other move up', async () => {
    let attempts = 0;
    const played = playMover({
      act: async ({ order }) => {
        if (order.slot === 3 && ++attempts === 1) throw new Error('the slot is in no state to move');
        return undefined;
      },
    });
    startInstance('one', played);
    const [stuck, other] = [await byHand(3), await byHand(4)];
    await until('it says why', async () => String((await admin.call('GET', `/v1/moves/${stuck}`)).json.error).includes('in no state to move'));
    await untilMove(other, 'done');
    await untilMove(stuck, 'done');
    expect((await admin.call('GET', `/v1/moves/${stuck}`)).json.error).toBeUndefined();
  });

  test('whose shard does not answer gives its place to others, and is no failure to be told', async () => {
    const tried = new Set<string>();
    const played = playMover({
      act: async ({ order }) => {
        if (order.slot > 5) return undefined;
        tried.add(String(order.id));
        throw new PgError('connection refused', { kind: 'infrastructure', database: 'b', statement: 'claim' });
      },
    });
    startInstance('one', played);
    // As many as may move at once.
    const down = [await byHand(3), await byHand(4), await byHand(5)];
    await until('they were tried', () => down.every((id) => tried.has(id)));
    await untilMove(await byHand(6), 'done');
    for (const id of down) {
      const { state, error } = (await admin.call('GET', `/v1/moves/${id}`)).json;
      expect({ state, error }).toEqual({ state: 'running', error: undefined });
    }
  });

  test('whose epoch is committed without an answer is announced all the same', async () => {
    const played = playMover({ gated: true });
    const one = startInstance('one', played);
    await leads(one);
    await until('the first epoch is announced', () => one.announced.length > 0);
    await control.transaction((tx) => proposeTopology(tx, { ...first, epoch: 2 as Epoch }, { author: 'test', reason: 'the answer was lost' }));
    await until('the second is, too', () => one.announced.at(-1)?.epoch === 2);
    expect(one.announced.map(({ epoch }) => epoch)).toEqual([1, 2]);
  });

  test('that a leader left is taken up by the next, also when it is paused: it may stand past its fence', async () => {
    const left = playMover({ gated: true });
    const one = startInstance('one', left);
    const id = await byHand(3);
    await untilMove(id, 'running');
    await one.leadership.stop();
    await admin.call('POST', `/v1/moves/${id}/pause`);
    const planned = await byHand(4);
    await admin.call('POST', `/v1/moves/${planned}/pause`);
    const seen: string[] = [];
    const next = playMover({
      act: async (input) => {
        seen.push(`${input.order.id} ${await input.wish()} ${input.token}`);
        return undefined;
      },
    });
    startInstance('two', next);
    await until('it was looked at', () => seen.length > 0);
    await admin.call('POST', `/v1/moves/${id}/resume`);
    await untilMove(id, 'done');
    expect(seen).toEqual([`${id} pause 2`, `${id} forward 2`]);
    expect(await moveState(planned)).toBe('planned');
  });

  test('that was paused, aborted, or whose plan was paused since it was picked, does not begin; one that has ended does not change', async () => {
    const token = await takeOver('one');
    const [paused, aborted, planned] = [await byHand(0), await byHand(1), await byHand(2)];
    await admin.call('POST', `/v1/moves/${paused}/pause`);
    await admin.call('POST', `/v1/moves/${aborted}/abort`);
    await control.query({ text: `insert into plan (state, base_epoch, by, content, created_by) values ('paused', 1, 'slots', '{}', 'test')` });
    await control.query({ text: 'update move set plan = 1 where id = $1', values: [planned] });
    const before = await contents();
    for (const id of [paused, aborted, planned].map(BigInt)) expect(await underLease(control, token, (tx) => beginMove(tx, id))).toBe(false);
    const ended = BigInt(aborted);
    expect(await underLease(control, token, (tx) => endMove(tx, { id: ended, as: 'done' }))).toBe(false);
    expect(await underLease(control, token, (tx) => turnBack(tx, { id: ended, error: 'late' }))).toBe(false);
    await underLease(control, token, (tx) => noteProgress(tx, { id: ended, phase: 'copying', progress: { rows: 1 } }));
    await underLease(control, token, (tx) => noteError(tx, { id: ended, error: 'late' }));
    expect(await contents()).toEqual(before);
  });

  test('R3 of a slot that moves is refused, however many ask at once', async () => {
    const other = await serve();
    const target = first.owners[5] === A ? B : A;
    const replies = await Promise.all([admin, other, admin, other].map((instance) => instance.call('POST', '/v1/moves', { slot: 5, target })));
    expect(replies.map(({ status }) => status).sort()).toEqual([202, 409, 409, 409]);
    expect(replies.filter(({ status }) => status === 409).every(({ json }) => json.code === 'slot_moving')).toBe(true);
    expect((await admin.call('GET', '/v1/moves?open=true')).json.moves).toHaveLength(1);
  });

  test('is verified by comparing every row, while there are two copies', async () => {
    const played = playMover({ gated: true });
    const id = await byHand(3);
    expect((await admin.call('POST', `/v1/moves/${id}/verify`)).json.code).toBe('move_state');
    startInstance('one', played);
    await untilMove(id, 'running');
    expect((await admin.call('POST', `/v1/moves/${id}/verify`)).json).toEqual({ verified: true, tables: [{ table: 'account', rows: 3, differences: [] }] });
    expect((await admin.call('POST', '/v1/moves/77/verify')).json.code).toBe('unknown_move');
  });

  test('is compared once at a time, and no longer than the caller waits', async () => {
    let ended: unknown;
    const begun = Promise.withResolvers<void>();
    const compare: Parameters<typeof routesOf>[0]['verify'] = async ({ order, database }) => {
      begun.resolve();
      try {
        for (;;) await database(order.source).transaction((tx) => tx.query({ text: 'select pg_sleep(0.02)' }));
      } catch (error) {
        ended = error;
        throw error;
      }
    };
    const comparing = await serve({ verify: compare });
    startInstance('one', playMover({ gated: true }));
    const id = await byHand(3);
    await untilMove(id, 'running');
    const caller = new AbortController();
    const asked = comparing.raw(`/v1/moves/${id}/verify`, { method: 'POST', signal: caller.signal });
    asked.catch(() => undefined);
    await begun.promise;
    const second = await comparing.call('POST', `/v1/moves/${id}/verify`);
    expect({ status: second.status, code: second.json.code }).toEqual({ status: 429, code: 'too_many_requests' });
    expect(Number(second.headers.get('retry-after'))).toBeGreaterThan(0);
    caller.abort();
    await until('the comparison ends', () => ended !== undefined);
    expect(String(ended)).toContain('does not wait any more');
  });
});
