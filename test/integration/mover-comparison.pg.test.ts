/** Live moves whose copy is not equal, and comparisons on demand. */
import { describe, expect, test } from '@jest/globals';
import { slotTables } from '@millrace/slot-processor';
import { verifyMove } from '../../services/ring-manager/src/move/drive.ts';
import { VerificationFailed } from '../../services/ring-manager/src/move/types.ts';
import { drive, expectWhole, loaded, once, order, pauseAt, shards, sideOf, slot, useShards } from './moving-slot.ts';

useShards();

test.each([
  [20, false],
  [600, true],
])('%s records that the source applies during the copy: a round before the comparison: %s', async (records, isRound) => {
  const traffic = await loaded(200);
  const steps: string[] = [];
  const produce = once('chunk', async () => {
    traffic.produce(records);
    await traffic.settle(shards.a);
  });
  const onStep = async (step: string): Promise<void> => {
    steps.push(step);
    await produce(step);
  };
  expect(await drive({ onStep }).result).toBe('done');
  expect(steps.slice(0, steps.indexOf('check')).includes('round')).toBe(isRound);
  await expectWhole(traffic, shards.b, shards.a);
});

describe('a copy that is not equal does not activate', () => {
  const plants: Record<string, string> = {
    'a changed row': `update account set balance = balance + 1 where slot = 1 and key = (select max(key) from account where slot = 1)`,
    'values that two rows have exchanged': `with two as (select key, balance, row_number() over (order by balance) as n, count(*) over () as of from account where slot = 1)
      update account a set balance = other.balance from two mine join two other on other.n = mine.of + 1 - mine.n where a.slot = 1 and mine.key = a.key and mine.n in (1, mine.of)`,
    'a missing row': `delete from payment where slot = 1 and payment = (select max(payment) from payment where slot = 1)`,
    'a row too much': `insert into stock (slot, key, on_hand, reserved) values (1, 'demo/zzz', 1, 0)`,
    'a changed journal row': `update journal set body_hash = body_hash + 1 where slot = 1 and stream = 'sagas' and "offset" = (select max("offset") from journal where slot = 1 and stream = 'sagas')`,
  };

  test.each(Object.keys(plants))('%s, before the ranges are compared', async (what) => {
    const traffic = await loaded();
    const { result } = drive({ onStep: once('check', () => shards.b.query({ text: plants[what]! })) });
    await expect(result).rejects.toThrow(VerificationFailed);
    expect(await sideOf(shards.a)).toMatchObject({ state: 'MOVING' });
    expect(await sideOf(shards.b)).toMatchObject({ state: 'INCOMING' });
    expect(await drive({ wishes: () => 'abort' }).result).toBe('aborted');
    await expectWhole(traffic, shards.a, shards.b);
  });

  test.each(Object.keys(plants))('%s in a small table, after they were compared', async (what) => {
    const traffic = await loaded();
    const { result } = drive({ onStep: once('fence', () => shards.b.query({ text: plants[what]! })) });
    await expect(result).rejects.toThrow(VerificationFailed);
    expect(await sideOf(shards.b)).toMatchObject({ state: 'INCOMING' });
    expect(await drive({ wishes: () => 'abort' }).result).toBe('aborted');
    await expectWhole(traffic, shards.a, shards.b);
  });

  /** More rows than a fence compares as a whole. */
  const enlarge = async (): Promise<void> => {
    for (const database of [shards.a, shards.reference]) {
      await database.query({ text: `insert into account select 1, 'demo/large' || g, 'GBP', g, 0 from generate_series(1, 6000) g` });
    }
  };

  test('a changed row of a large table', async () => {
    const traffic = await loaded(100);
    await enlarge();
    await expect(drive({ onStep: once('check', () => shards.b.query({ text: plants['a changed row']! })) }).result).rejects.toThrow(VerificationFailed);
    expect(await drive({ wishes: () => 'abort' }).result).toBe('aborted');
    await expectWhole(traffic, shards.a, shards.b);
  });

  test.each(['round', 'fence'])('a row of a large table that the target changes as it stores it, in the delta after step `%s`', async (step) => {
    const traffic = await loaded();
    await enlarge();
    const spoil = `create function spoil() returns trigger language plpgsql as 'begin new.balance = new.balance + 1; return new; end';
                   create trigger spoil before insert on account for each row execute function spoil()`;
    const { result } = drive({
      onStep: async (name) => {
        // Behind the comparison of the ranges: what follows is compared by the delta alone.
        if (name !== step || !(await isChecked())) return;
        await shards.b.query({ text: spoil }).catch(() => undefined);
        traffic.produce(60);
        await traffic.settle(shards.a);
      },
    });
    await expect(result).rejects.toThrow(VerificationFailed);
    await shards.b.query({ text: 'drop function spoil cascade' });
    expect(await drive({ wishes: () => 'abort' }).result).toBe('aborted');
    await expectWhole(traffic, shards.a, shards.b);
  });

  async function isChecked(): Promise<boolean> {
    const rows = await shards.b.query({ text: `select 1 from incoming where slot = $1 and progress->'stage'->>'kind' = 'rounds'`, values: [slot] });
    return rows.length > 0;
  }

  test('a row that the target refuses', async () => {
    const traffic = await loaded(200);
    await shards.b.query({ text: 'alter table stock add constraint few check (on_hand < 1)' });
    await expect(drive().result).rejects.toThrow(VerificationFailed);
    await shards.b.query({ text: 'alter table stock drop constraint few' });
    expect(await drive({ wishes: () => 'abort' }).result).toBe('aborted');
    await expectWhole(traffic, shards.a, shards.b);
  });

  test('a journal row above the position', async () => {
    const traffic = await loaded(5_500);
    const extra = `insert into journal (slot, stream, "offset", body_hash, at_ms, outcome, key, type) values (1, 'writes', 999999, 1, 1, 'applied', 'k', 't')`;
    await expect(drive({ onStep: once('fence', () => shards.b.query({ text: extra })) }).result).rejects.toThrow(VerificationFailed);
    expect(await drive({ wishes: () => 'abort' }).result).toBe('aborted');
    await expectWhole(traffic, shards.a, shards.b);
  });
});

describe('a comparison on demand', () => {
  const verify = () => verifyMove({ order: order(), database: (shard) => shards[shard as 'a' | 'b'] });

  test('runs while the move and the turns go on, and names the first keys that differ', async () => {
    const traffic = await loaded();
    traffic.start();
    const { onStep, reached, release } = pauseAt('fence');
    const { result } = drive({ onStep });
    await reached;
    const equal = await verify();
    expect(equal).toMatchObject({ verified: true, note: undefined });
    expect(equal.tables.map(({ table, differences }) => ({ table, differences }))).toEqual(slotTables.map(({ name }) => ({ table: name, differences: [] })));
    expect(equal.tables[0]!.rows).toBeGreaterThan(100n);
    await shards.b.query({ text: `update account set held = held + 1 where slot = 1 and key = (select min(key) from account where slot = 1)` });
    await shards.b.query({ text: `delete from journal where slot = 1 and stream = 'sagas' and "offset" = (select min("offset") from journal where slot = 1 and stream = 'sagas')` });
    await shards.b.query({ text: `insert into orders (slot, key, account, currency, total, lines) values (1, 'demo/x', 'a', 'GBP', 1, '[]')` });
    const differing = await verify();
    expect(differing.verified).toBe(false);
    const found = Object.fromEntries(differing.tables.map(({ table, differences }) => [table, differences]));
    expect(found['journal']).toEqual([{ key: ['sagas', expect.any(String)], on: 'source' }]);
    expect(found['orders']).toEqual([{ key: ['demo/x'], on: 'target' }]);
    // Where a turn changes the account all the time, it may be one that is left out.
    expect(found['account']!.every(({ on }) => on === 'both')).toBe(true);
    release();
    await expect(result).rejects.toThrow(VerificationFailed);
    expect(await drive({ wishes: () => 'abort' }).result).toBe('aborted');
    await expectWhole(traffic, shards.a, shards.b);
  });

  test('says what it cannot compare', async () => {
    const traffic = await loaded(200);
    traffic.parkAndFill();
    await traffic.settle(shards.a);
    expect(await verify()).toMatchObject({ verified: false, tables: [], note: expect.stringContaining('not begun') });
    const begun = pauseAt('chunk');
    const driven = drive({ onStep: async (step) => (await begun.onStep(step), await active.onStep(step)) });
    const active = pauseAt('publish');
    await begun.reached;
    expect((await verify()).note).toContain('copied so far');
    begun.release();
    await active.reached;
    expect(await verify()).toMatchObject({ verified: true, note: expect.stringContaining('applied nothing since') });
    // Writes journal rows below the fence, which the source never had.
    traffic.release('skip');
    traffic.produce(100);
    await traffic.settle(shards.b);
    const later = await verify();
    expect(later).toMatchObject({ verified: true, note: expect.stringContaining('only the journal') });
    expect(later.tables.map(({ table }) => table)).toEqual(['journal']);
    active.release();
    expect(await driven.result).toBe('done');
    await expectWhole(traffic, shards.b, shards.a);
  });
});
