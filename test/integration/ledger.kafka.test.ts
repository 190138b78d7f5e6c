/** The ledger checker against a real broker and real shards: clean, spoilt, and while slots move. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { formatVerdict, type Verdict } from '@millrace/ledger';
import { migrate, type Database } from '@millrace/postgres';
import { controlMigrations } from '@millrace/topology';
import { digestOf, must, type ShardId } from '@millrace/write';
import { A, B, createTestDatabase, log, OWNERS, shard, spoil, STEPS, useShards, verify, world } from './simulated-shards.ts';

useShards();

const ROW_TABLES = ['journal', 'parked', 'account', 'payment', 'orders', 'stock', 'hold', 'saga'];

describe('the ledger checker', () => {
  test('a log and the shards that applied it are clean, in one pass or in many', async () => {
    const acked = world.log.map(({ slot, offset }, i) => ({ slot, offset, digest: digestOf(STEPS[i]!.key, STEPS[i]!.idempotencyKey) }));
    const verdict = await verify({ acked });
    expect(formatVerdict(verdict)).toContain('0 lost, 0 doubled, 0 out of order; balances match\norders: 0 confirmed, 0 rejected, 0 cancelled, 12 open; 0 steps, 24 messages under way\nclean: 168 records');
    expect(verdict).toMatchObject({ clean: true, acked: STEPS.length, duplicates: 12, mismatches: 12 });
    expect(await verify({ acked, recordsPerPassMax: 1 })).toEqual(verdict);
  });

  test.each<[fault: string, kind: keyof Verdict, text: string]>([
    ['a lost row', 'lost', `delete from journal where (slot, "offset") in (select slot, "offset" from journal where type = 'stock.receive' limit 1)`],
    ['a lost effect', 'wrongPayment', `delete from payment where payment = 'pay-1' and account = (select min(account) from payment)`],
    ['an effect applied twice', 'wrongStock', `update stock set on_hand = on_hand * 2 where key = (select min(key) from stock)`],
    ['a journal row for a duplicate', 'doubled', `
      insert into journal (slot, stream, "offset", body_hash, at_ms, digest, outcome, key, type)
      select slot, stream, "offset" + 2, body_hash, at_ms, null, outcome, key, type from journal j
      where type = 'account.deposit' and detail is null
      and not exists (select from journal o where o.slot = j.slot and o."offset" = j."offset" + 2)
      and exists (select from journal o where o.slot = j.slot and o."offset" = j."offset" + 3 and o.detail ->> 'code' = 'idempotency_mismatch') limit 1`],
    ['an outcome of another order', 'outOfOrder', `
      update journal set outcome = 'refused', detail = '{"code": "insufficient_funds"}'
      where (slot, "offset") in (select slot, "offset" from journal where type = 'payment.capture' limit 1)`],
    ['a wrong balance', 'wrongBalance', `update account set balance = balance + 1 where key = (select min(key) from account)`],
    ['an order of another account', 'wrongOrder', `update orders set account = 'acc-none' where key = (select min(key) from orders)`],
    ['a parked row that is gone', 'lost', `delete from parked where key = (select min(key) from parked)`],
    ['a position that lags', 'notYetApplied', `update position set next_offset = next_offset - 1, relayed_offset = 0 where stream = 'writes' and next_offset > 0`],
    ['a position beyond the log', 'wrongPosition', `update position set next_offset = next_offset + 1 where stream = 'writes'`],
    ['rows of a slot that another shard owns', 'wrongShard', `insert into stock (slot, key, on_hand, reserved) select slot + 1, key, on_hand, reserved from stock limit 1`],
    ['a slot that is not active', 'wrongSlot', `update slot set state = 'INCOMING' where slot = 0`],
    ['a slot that moves for ever', 'wrongSlot', `update slot set state = 'MOVING' where slot = 0`],
    ['a slot that two shards hold', 'wrongSlot', `insert into slot (slot, state, epoch) values (1, 'ACTIVE', 2)`],
    ['a slot that a given-up move left', 'wrongSlot', `insert into slot (slot, state, epoch) values (1, 'INCOMING', 0)`],
    ['a row that a move left behind', 'wrongShard', `
      with signpost as (insert into slot (slot, state, epoch, moved_to) values (1, 'MOVED', 0, 'b'))
      insert into account (slot, key, currency, balance, held) values (1, 'demo/left', 'GBP', 0, 0)`],
    ['a record on two shards', 'wrongShard', `
      insert into journal (slot, stream, "offset", body_hash, at_ms, digest, outcome, key, type)
      select slot + 1, stream, "offset", body_hash, at_ms, digest, outcome, key, type from journal limit 1`],
    ['a note that a move left behind', 'moveLeftovers', `insert into changed (slot, stream, "offset", "table", key) values (0, 'writes', 3, 'account', '{demo/acc-1}')`],
    ['progress that a move left behind', 'moveLeftovers', `insert into incoming (slot, progress) values (0, '{}')`],
    ['a database that is another shard', 'wrongSlot', `update shard_identity set shard_id = 'c'`],
  ])('%s is found', async (_, kind, text) => {
    await spoil(A, text);
    const verdict = await verify();
    expect(verdict.clean).toBe(false);
    expect(verdict[kind]).toBeGreaterThan(0);
    expect(verdict.differences[0]?.shard).toBe(A);
    expect(formatVerdict(verdict)).toContain('NOT CLEAN');
  });

  test('slots on a shard that owns nothing are found', async () => {
    const owners = OWNERS.map(() => B);
    const verdict = await verify({ owners, allShardIds: [A, B] });
    expect(verdict.wrongSlot).toBe(OWNERS.length / 2);
    expect(verdict.differences[0]).toMatchObject({ shard: A, expected: 'shard b holds the slot, as the topology says' });
  });

  test('a shard that catches up while the checker waits is clean', async () => {
    const positions = await shard(A).query<{ slot: number; next: bigint }>({ text: `select slot, next_offset as next from position where stream = 'writes'` });
    const at = must(positions.find(({ next }) => next > 0n), 'some slot has records');
    await shard(A).query({ text: `update position set relayed_offset = 0, next_offset = 0 where stream = 'writes' and slot = $1`, values: [at.slot] });
    const late = verify({ waitMs: 60_000 });
    await shard(A).query({ text: `update position set next_offset = $2 where stream = 'writes' and slot = $1`, values: [at.slot, at.next] });
    expect(await late).toMatchObject({ clean: true });
  });

  test('an aborted verification rejects with the reason', async () => {
    const reason = new Error('enough');
    await expect(verify({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

describe('while slots move', () => {
  let control: Database;

  beforeAll(async () => {
    control = await createTestDatabase('control');
    await migrate({ database: control, migrations: controlMigrations, log });
    await control.query({ text: `insert into topology (epoch, owners, created_by, reason) values (1, $1, 'test', 'test')`, values: [OWNERS] });
  });
  afterAll(() => control?.end());

  test('no verdict is wrong, however the moves lie to its snapshots; at the end nothing moves', async () => {
    let isOver = false;
    const moving = (async () => {
      for (let n = 0; !isOver; n += 1) await moveSlot(n % OWNERS.length, { isAborted: n % 3 === 2 });
    })();
    let slots = 0;
    try {
      for (let n = 0; n < 8; n += 1) {
        const verdict = await verify({ control, recordsPerPassMax: 30 });
        expect(verdict.differences).toEqual([]);
        expect(verdict).toMatchObject({ clean: true, records: STEPS.length, duplicates: 12 });
        slots += verdict.moving;
      }
    } finally {
      isOver = true;
      await moving;
    }
    expect(slots).toBeGreaterThan(0);
    expect(await verify({ control })).toMatchObject({ clean: true, moving: 0, movingRows: 0 });
  });

  test('what an open move has is counted, and a difference once the move has ended', async () => {
    const { slot, source, target } = await slotWithAccounts();
    const { end } = await startMove(slot, source, target);
    await copyRows(slot, source, target);
    await shard(source).query({ text: `insert into changed (slot, stream, "offset", "table", key) values ($1, 'writes', 3, 'account', '{demo/acc-1}')`, values: [slot] });
    const open = await verify({ control });
    expect(open).toMatchObject({ clean: true, moving: 1 });
    const copied = await Promise.all(ROW_TABLES.map((table) => shard(target).query({ text: `select from ${table} where slot = $1`, values: [slot] })));
    expect(open.movingRows).toBe(copied.flat().length + 2);
    await end('done');
    const ended = await verify({ control });
    expect(ended).toMatchObject({ clean: false, moving: 0, moveLeftovers: 2, wrongSlot: 2 });
    expect(ended.wrongShard).toBe(open.movingRows - 2);
    await shard(target).query({ text: `update slot set state = 'ABORTED' where slot = $1`, values: [slot] });
    await shard(source).query({ text: `update slot set state = 'ACTIVE', epoch = epoch + 2 where slot = $1`, values: [slot] });
    await purge(slot, target);
    await shard(source).query({ text: `delete from changed` });
    expect(await verify({ control })).toMatchObject({ clean: true });
  });

  test('a fence is waited for; one that lasts is told', async () => {
    const { slot, source, target } = await slotWithAccounts();
    const { end } = await startMove(slot, source, target);
    await shard(source).query({ text: `update slot set state = 'MOVED', moved_to = $2 where slot = $1`, values: [slot, target] });
    const stuck = await verify({ control, fencePatienceMs: 0 });
    expect(stuck).toMatchObject({ clean: false, wrongSlot: 1, differencesFound: 1, moving: 1 });
    expect(stuck.differences[0]?.actual).toMatch(new RegExp(`shard ${source}: MOVED to ${target}, epoch \\d+; shard ${target}: INCOMING`));
    const patient = verify({ control, fencePatienceMs: 60_000 });
    await copyRows(slot, source, target);
    await activate(slot, source, target);
    expect(await patient).toMatchObject({ clean: true, moving: 1 });
    await purge(slot, source);
    // The activated epoch was never published, and the move is over.
    await end('done');
    const verdict = await verify({ control });
    expect(verdict).toMatchObject({ clean: false, wrongSlot: 1, differencesFound: 1 });
    expect(verdict.differences[0]).toMatchObject({ shard: target, expected: `shard ${source} holds the slot, as the topology says` });
    await publish(slot, target);
    expect(await verify({ control })).toMatchObject({ clean: true });
  });

  test('a move that begins and ends around one snapshot is known when the snapshot is judged', async () => {
    const { slot, source, target } = await slotWithAccounts();
    let end: ((state: 'done') => Promise<void>) | undefined;
    const verdict = await verify({
      control,
      shards: around({
        async before() {
          ({ end } = await startMove(slot, source, target));
          await copyRows(slot, source, target);
        },
        async after() {
          await shard(source).query({ text: `update slot set state = 'MOVED', moved_to = $2 where slot = $1`, values: [slot, target] });
          await activate(slot, source, target);
          await publish(slot, target);
          await purge(slot, source);
          await end!('done');
        },
      }),
    });
    expect(verdict).toMatchObject({ clean: true, moving: 1 });
    expect(verdict.movingRows).toBeGreaterThan(1);
    expect(await verify({ control })).toMatchObject({ clean: true, moving: 0 });
  });

  test('a move that ended by a transaction from before the first look is known too', async () => {
    const { slot, source, target } = await slotWithAccounts();
    await startMove(slot, source, target);
    await copyRows(slot, source, target);
    await control.transaction(async (tx) => {
      const [clock] = await tx.query<{ now: string }>({ text: 'select now()::text' });
      const verdict = await verify({
        control,
        shards: around({
          before: async () => undefined,
          async after() {
            await shard(target).query({ text: `update slot set state = 'ABORTED' where slot = $1`, values: [slot] });
            await shard(source).query({ text: `update slot set state = 'ACTIVE', epoch = epoch + 2 where slot = $1`, values: [slot] });
            await purge(slot, target);
            await control.query({ text: `update move set state = 'aborted', ended_at = $2::timestamptz where slot = $1 and ended_at is null`, values: [slot, clock!.now] });
          },
        }),
      });
      expect(verdict).toMatchObject({ clean: true, moving: 1 });
    });
    expect(await verify({ control })).toMatchObject({ clean: true, moving: 0 });
  });

  /** The shards, with something to do right before the first snapshot, and right after it. */
  function around({ before, after }: { before(): Promise<void>; after(): Promise<void> }): (id: ShardId) => Database {
    let opened = 0;
    return (id) => {
      const database = shard(id);
      return {
        ...database,
        async transaction(work, limits) {
          const isOuter = opened++ === 0;
          if (isOuter) await before();
          const result = await database.transaction(work, limits);
          if (isOuter) await after();
          return result;
        },
      };
    };
  }

  async function holder(slot: number): Promise<ShardId> {
    for (const id of [A, B]) if ((await shard(id).query({ text: `select from slot where slot = $1 and state = 'ACTIVE'`, values: [slot] })).length > 0) return id;
    throw new Error(`no shard holds slot ${slot}`);
  }

  async function slotWithAccounts(): Promise<{ slot: number; source: ShardId; target: ShardId }> {
    for (const slot of OWNERS.keys()) {
      const source = await holder(slot);
      if ((await shard(source).query({ text: 'select from account where slot = $1', values: [slot] })).length > 0) return { slot, source, target: source === A ? B : A };
    }
    throw new Error('no slot has accounts');
  }

  /** In the control database, then INCOMING on the target and MOVING on the source. */
  async function startMove(slot: number, source: ShardId, target: ShardId): Promise<{ end: (state: 'done' | 'aborted') => Promise<void> }> {
    const [row] = await control.query<{ id: bigint }>({
      text: `insert into move (slot, source, target, state, created_by) values ($1, $2, $3, 'running', 'test') returning id`,
      values: [slot, source, target],
    });
    const [own] = await shard(source).query<{ epoch: bigint }>({ text: 'select epoch from slot where slot = $1', values: [slot] });
    await purge(slot, target);
    await shard(target).query({
      text: `insert into slot (slot, state, epoch) values ($1, 'INCOMING', $2) on conflict (slot) do update set state = 'INCOMING', moved_to = null, epoch = $2`,
      values: [slot, own!.epoch + 1n],
    });
    await shard(target).query({ text: `insert into position (stream, slot) values ('writes', $1) on conflict do nothing`, values: [slot] });
    await shard(target).query({ text: `insert into incoming (slot, progress) values ($1, '{}')`, values: [slot] });
    await shard(source).query({ text: `update slot set state = 'MOVING' where slot = $1`, values: [slot] });
    return { end: async (state) => void (await control.query({ text: 'update move set state = $2, ended_at = now() where id = $1', values: [row!.id, state] })) };
  }

  async function activate(slot: number, source: ShardId, target: ShardId): Promise<void> {
    const [position] = await shard(source).query<{ next: bigint; relayed: bigint }>({ text: `select next_offset as next, relayed_offset as relayed from position where stream = 'writes' and slot = $1`, values: [slot] });
    await shard(target).transaction(async (tx) => {
      await tx.query({ text: `update position set next_offset = $2, relayed_offset = $3 where stream = 'writes' and slot = $1`, values: [slot, position!.next, position!.relayed] });
      await tx.query({ text: `update slot set state = 'ACTIVE' where slot = $1`, values: [slot] });
      await tx.query({ text: 'delete from incoming where slot = $1', values: [slot] });
    });
  }

  async function publish(slot: number, owner: ShardId): Promise<void> {
    await control.query({
      text: `insert into topology (epoch, owners, created_by, reason)
             select epoch + 1, owners[:$1] || array[$2] || owners[$1 + 2:], 'test', 'test' from topology order by epoch desc limit 1`,
      values: [slot, owner],
    });
  }

  async function purge(slot: number, id: ShardId): Promise<void> {
    for (const table of [...ROW_TABLES, 'changed', 'incoming']) await shard(id).query({ text: `delete from ${table} where slot = $1`, values: [slot] });
  }

  async function copyRows(slot: number, source: ShardId, target: ShardId): Promise<void> {
    for (const table of ROW_TABLES) {
      const [found] = await shard(source).query<{ rows: string }>({ text: `select coalesce(jsonb_agg(to_jsonb(t)), '[]')::text as rows from ${table} t where slot = $1`, values: [slot] });
      await shard(target).query({ text: `insert into ${table} select * from jsonb_populate_recordset(null::${table}, $1::jsonb)`, values: [found!.rows] });
    }
  }

  async function moveSlot(slot: number, { isAborted }: { readonly isAborted: boolean }): Promise<void> {
    const source = await holder(slot);
    const target = source === A ? B : A;
    const { end } = await startMove(slot, source, target);
    await copyRows(slot, source, target);
    await shard(source).query({ text: `update slot set state = 'MOVED', moved_to = $2 where slot = $1`, values: [slot, target] });
    if (isAborted) {
      await shard(target).query({ text: `update slot set state = 'ABORTED' where slot = $1`, values: [slot] });
      await shard(source).query({ text: `update slot set state = 'ACTIVE', moved_to = null, epoch = epoch + 2 where slot = $1`, values: [slot] });
      await purge(slot, target);
      return end('aborted');
    }
    await activate(slot, source, target);
    await publish(slot, target);
    await purge(slot, source);
    await end('done');
  }
});
