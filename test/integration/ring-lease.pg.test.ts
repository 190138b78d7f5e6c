/** Who leads: the lease, the epochs that its holder makes, and what a leader can no longer do once it was followed. */
import { describe, expect, test } from '@jest/globals';
import { createDatabase } from '@millrace/postgres';
import { until } from '@millrace/testkit';
import { readTopology } from '@millrace/topology';
import type { Slot } from '@millrace/write';
import { acquireLease, readLease, releaseLease, renewLease, underLease } from '../../services/ring-manager/src/control/lease.sql.ts';
import { createLeadership, type Term } from '../../services/ring-manager/src/control/leadership.ts';
import { activateMembers } from '../../services/ring-manager/src/control/members.sql.ts';
import { endPlans } from '../../services/ring-manager/src/control/plans.sql.ts';
import { beginMove, endMove, noteError, noteProgress, turnBack } from '../../services/ring-manager/src/engine/moves.sql.ts';
import { makeOwner } from '../../services/ring-manager/src/engine/owner.ts';
import { CONTROL_POOL, LEASE, LEASE_POOL } from '../../services/ring-manager/src/limits.ts';
import { Superseded } from '../../services/ring-manager/src/move/types.ts';
import { A, admin, B, byHand, cleanups, contents, control, first, leads, log, open, playMover, SLOTS, slotsOn, startInstance, takeOver, TIMING, urlOf, useControl } from './ring-control.ts';

useControl();

describe('the lease', () => {
  test('one holds it; another gets it once it was given back, or ran out, with a higher token', async () => {
    expect(await acquireLease(control, { holder: 'one', ttlMs: 60_000 })).toBe(1n);
    expect(await acquireLease(control, { holder: 'two', ttlMs: 60_000 })).toBeUndefined();
    expect(await renewLease(control, { token: 1n, ttlMs: 60_000 })).toBe(true);
    expect(await readLease(control)).toMatchObject({ holder: 'one', token: 1n });
    await releaseLease(control, 1n);
    expect(await readLease(control)).toBeUndefined();
    expect(await acquireLease(control, { holder: 'two', ttlMs: 60_000 })).toBe(2n);
    expect(await takeOver('three')).toBe(3n);
    expect(await renewLease(control, { token: 2n, ttlMs: 60_000 })).toBe(false);
    await releaseLease(control, 2n);
    expect(await readLease(control)).toMatchObject({ holder: 'three', token: 3n });
  });

  test('of many that ask at once one gets it', async () => {
    const tokens = await Promise.all(Array.from({ length: 6 }, (_, n) => acquireLease(control, { holder: `r${n}`, ttlMs: 60_000 })));
    expect(tokens.filter((token) => token !== undefined)).toEqual([1n]);
  });

  test('a lease that ran out is not renewed, though nobody has taken it', async () => {
    await acquireLease(control, { holder: 'one', ttlMs: 60_000 });
    await control.query({ text: 'update lease set expires_at = clock_timestamp()' });
    expect(await renewLease(control, { token: 1n, ttlMs: 60_000 })).toBe(false);
  });

  test('by its constants a takeover takes no more than 10 s', () => {
    expect(LEASE.ttlMs + LEASE.retryMs + LEASE_POOL.statementTimeoutMs).toBeLessThanOrEqual(10_000);
    expect(CONTROL_POOL.idleInTransactionTimeoutMs).toBeLessThan(LEASE.ttlMs);
    expect(2 * LEASE.renewMs).toBeLessThan(LEASE.ttlMs);
  });

  test('a leader that drains is followed by the standby, and one that dies too', async () => {
    const [one, two, three] = ['one', 'two', 'three'].map((name) => ({ name, lease: createDatabase({ ...LEASE_POOL, applicationName: name, name, url: urlOf('control'), log }) }));
    cleanups.push(() => Promise.all([two!.lease.end(), three!.lease.end()]));
    const played = playMover();
    const a = startInstance('one', played, one);
    expect(await leads(a)).toBe(1n);
    const b = startInstance('two', played, two);
    await a.leadership.stop();
    expect(await leads(b)).toBe(2n);
    const c = startInstance('three', played, three);
    // Its renewals fail from here on, as those of a process that is gone.
    await two!.lease.end();
    expect(await leads(c)).toBe(3n);
    await one!.lease.end();
  });

  test('a holder that cannot renew ends its term by itself, before anybody else begins one', async () => {
    const lease = createDatabase({ ...LEASE_POOL, applicationName: 'one', name: 'lease', url: urlOf('control'), log });
    const terms: Term[] = [];
    const ended: unknown[] = [];
    const leadership = createLeadership({
      lease,
      holder: 'one',
      timing: TIMING,
      log,
      lead: (term) => {
        terms.push(term);
        return new Promise((resolve) => term.signal.addEventListener('abort', () => resolve(void ended.push(term.signal.reason))));
      },
    });
    cleanups.push(() => leadership.stop());
    await until('it leads', () => terms.length === 1);
    await lease.end();
    await until('the term is over', () => ended.length === 1);
    expect(ended[0]).toBeInstanceOf(Superseded);
    expect(String(ended[0])).toContain('could not be renewed');
    expect(leadership.token()).toBeUndefined();
  });

  test('a leader that sleeps inside a transaction holds the lease no longer than the server lets it', async () => {
    await acquireLease(control, { holder: 'one', ttlMs: 100 });
    const asleep = Promise.withResolvers<void>();
    const holding = Promise.withResolvers<void>();
    const sleeper = underLease(control, 1n, async (tx) => {
      await tx.query({ text: 'select 1' });
      holding.resolve();
      await asleep.promise;
      await tx.query({ text: `update member set weight = 7` });
    });
    sleeper.catch(() => undefined);
    await holding.promise;
    const lease = open('control', LEASE_POOL);
    const token = await until('the lease is had', () => acquireLease(lease, { holder: 'two', ttlMs: 60_000 }).catch(() => undefined));
    expect(token).toBe(2n);
    asleep.resolve();
    await expect(sleeper).rejects.toThrow();
    expect(await control.query({ text: 'select weight from member where weight = 7' })).toEqual([]);
  });
});

describe('R5 a leader that was followed changes nothing', () => {
  const order = { id: 1n, slot: 0 as Slot, source: A, target: B };
  const writes: Record<string, (token: bigint) => Promise<unknown>> = {
    'begins no move': (token) => underLease(control, token, (tx) => beginMove(tx, 1n)),
    'notes no progress': (token) => underLease(control, token, (tx) => noteProgress(tx, { id: 2n, phase: 'checking', progress: { rows: 99 } })),
    'ends no move': (token) => underLease(control, token, (tx) => endMove(tx, { id: 2n, as: 'done' })),
    'turns no move back': (token) => underLease(control, token, (tx) => turnBack(tx, { id: 2n, error: 'late' })),
    'notes no error': (token) => underLease(control, token, (tx) => noteError(tx, { id: 2n, error: 'late' })),
    'ends no plan and welcomes no member': (token) =>
      underLease(control, token, async (tx) => {
        await endPlans(tx);
        await activateMembers(tx);
      }),
    'makes no epoch': (token) => makeOwner({ control, token, instance: 'late', order: { ...order, slot: slotsOn(first, A)[0]! } }),
  };

  test.each(Object.keys(writes))('it %s', async (what) => {
    await acquireLease(control, { holder: 'one', ttlMs: 60_000 });
    const [begun, planned] = slotsOn(first, A);
    await byHand(planned!);
    await byHand(begun!);
    await control.query({ text: `update move set state = 'running' where id = 2` });
    await control.query({ text: `insert into plan (state, base_epoch, by, content, created_by) values ('running', 1, 'slots', '{}', 'test')` });
    await control.query({ text: `update member set state = 'joining' where shard = 'a'` });
    await takeOver('two');
    const before = await contents();
    await expect(writes[what]?.(1n)).rejects.toThrow(Superseded);
    expect(await contents()).toEqual(before);
    // The one that leads now can.
    await writes[what]?.(2n);
    expect(await contents()).not.toEqual(before);
  });

  test('its engine stops with every mover, and nothing of what they wanted to write is there', async () => {
    const outcome = Promise.withResolvers<unknown>();
    const woken = Promise.withResolvers<void>();
    const inside = Promise.withResolvers<void>();
    const sleeper = playMover({
      act: async (input) => {
        inside.resolve();
        await woken.promise;
        for (const write of [() => input.report('fenced', { rows: 1_000 }), input.publish]) {
          await write().then(() => outcome.resolve('wrote'), outcome.resolve);
        }
        throw await outcome.promise;
      },
    });
    await byHand(0);
    const one = startInstance('one', sleeper, { lease: open('control', LEASE_POOL) });
    await leads(one);
    await inside.promise;
    const token = await takeOver('two');
    const before = await contents();
    woken.resolve();
    expect(await outcome.promise).toBeInstanceOf(Superseded);
    await until('it leads no more', () => one.leadership.token() === undefined);
    expect(await contents()).toEqual(before);
    expect(await readLease(control)).toMatchObject({ holder: 'two', token });
    expect((await readTopology(control))?.epoch).toBe(1);
  });
});

describe('epochs', () => {
  test('R2 rise by one for each move, whoever publishes at once, and only once for the same move', async () => {
    const token = (await acquireLease(control, { holder: 'one', ttlMs: 60_000 }))!;
    const orders = slotsOn(first, A).map((slot, n) => ({ id: BigInt(n + 1), slot, source: A, target: B }));
    await Promise.all([...orders, ...orders].map((order) => makeOwner({ control, token, order, instance: 'one' })));
    const history = (await admin.call('GET', '/v1/topology/history')).json.epochs;
    expect(history.map(({ epoch }) => epoch)).toEqual(Array.from({ length: orders.length + 1 }, (_, n) => orders.length + 1 - n));
    expect(history[0]?.reason).toMatch(/^move \d+: slot \d+ from a to b$/);
    const newest = (await admin.call('GET', '/v1/topology')).json;
    expect(newest.owners).toEqual(Array.from({ length: SLOTS }, () => B));
    expect((await admin.call('GET', '/v1/topology?epoch=1')).json).toMatchObject({ epoch: 1, slots: SLOTS, owners: first.owners, created_by: 'test', reason: 'first topology' });
    expect((await admin.call('GET', '/v1/topology?epoch=99')).json.code).toBe('not_found');
  });

  test('the newest is republished by whoever begins to lead', async () => {
    const one = startInstance('one', playMover());
    await until('it is announced', () => one.announced.length > 0);
    expect(one.announced[0]).toEqual(first);
  });
});

test('who leads can be asked for', async () => {
  expect((await admin.call('GET', '/v1/leader')).json).toEqual({});
  await acquireLease(control, { holder: 'one', ttlMs: 60_000 });
  expect((await admin.call('GET', '/v1/leader')).json).toMatchObject({ holder: 'one', token: '1' });
});
