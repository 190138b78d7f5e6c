/** The ledger checker against a real broker and real shards, which a simulation has filled without a mistake. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createKafka, createLanes, ensureTopics, readTopic, type KafkaClient } from '@millrace/kafka';
import { formatVerdict, verifyLedger, type ShardSnapshot, type SlotRows, type Verdict, type VerifyOptions } from '@millrace/ledger';
import { authorize, cancel, capture, deposit, invalid, open, place, receive, release, simulate, type Step, type World } from '@millrace/ledger/testing';
import { startBroker, startPostgres, type Broker, type Postgres } from '@millrace/local-cluster';
import { createDatabase, migrate, type Database, type Tx } from '@millrace/postgres';
import { createLog } from '@millrace/runtime';
import { prepareShard, seedSlots } from '@millrace/slot-processor';
import { startOrders, startTestCluster, untilSagasEnded, type TestCluster } from '@millrace/testkit';
import { controlMigrations } from '@millrace/topology';
import { topicNames, topicSettings } from '@millrace/wire';
import { digestOf, must, type Epoch, type ShardId, type Slot } from '@millrace/write';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const A = 'a' as ShardId;
const B = 'b' as ShardId;
const OWNERS: readonly ShardId[] = [A, B, A, B, A, B, A, B];
const ROW_TABLES = ['journal', 'parked', 'account', 'payment', 'orders', 'stock', 'hold', 'saga'];
const log = createLog({ name: 'test', level: 'silent' });

const STEPS: readonly Step[] = Array.from({ length: 12 }, (_, i) => `${i}`).flatMap((i) => [
  open(`acc-${i}`),
  deposit(`acc-${i}`, '10.00'),
  deposit(`acc-${i}`, '4.00', { idempotencyKey: `again-${i}` }),
  authorize(`acc-${i}`, 'pay-1', '7.00'),
  deposit(`acc-${i}`, '4.00', { idempotencyKey: `again-${i}` }),
  deposit(`acc-${i}`, '5.00', { idempotencyKey: `again-${i}` }),
  capture(`acc-${i}`, 'pay-1'),
  authorize(`acc-${i}`, 'pay-2', '99.00'),
  receive(`sku-${i}`, 40),
  place(`ord-${i}`),
  cancel(`ord-${i}`),
  invalid(`acc-${i}`),
  deposit(`acc-${i}`, '1.00'),
  release(`acc-${i}`, Number(i) % 2 === 0 ? 'skip' : 'retry'),
]);

let dir: string;
let broker: Broker | undefined;
let postgres: Postgres | undefined;
let kafka: KafkaClient;
let world: World;
const shards = new Map<ShardId, Database>();
/** What puts back what a test spoilt. */
let repair: (() => Promise<void>)[] = [];

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'millrace-ledger-'));
  broker = await startBroker({ dir: join(dir, 'kafka') });
  postgres = await startPostgres({ dir: join(dir, 'postgres'), durable: false });
  kafka = createKafka({ brokers: [broker.address], clientId: 'test', log });
  const topics = topicSettings({ prefix: '', slots: OWNERS.length, minInsync: 1 }).filter(({ name }) => name === 'writes' || name === 'sagas');
  await ensureTopics({ kafka, topics: topics.map((settings) => ({ ...settings, replicationFactor: 1 })), timeoutMs: 20_000, log });
  world = simulate(STEPS, OWNERS);
  const lanes = await createLanes({ kafka, topic: 'writes', log, limits: { recordsPerRequestMax: 500, queuedRecordsMax: 20_000, queuedBytesMax: 16 << 20, requestTimeoutMs: 5_000 } });
  await lanes.sendMany(world.log.map(({ slot, key, value }) => ({ slot, key, value: must(value, 'each has one') })));
  await lanes.close();
  const times = await timesOfLog();
  for (const snapshot of world.shards) await fillShard(snapshot, times);
});

afterAll(async () => {
  for (const database of shards.values()) await database.end();
  await Promise.all([broker?.stop(), postgres?.stop()]);
  rmSync(dir, { recursive: true, force: true });
});

afterEach(async () => {
  for (const undo of repair.reverse()) await undo();
  repair = [];
});

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

describe('a cluster with orders, returns and transfers', () => {
  let cluster: TestCluster;

  beforeAll(async () => {
    cluster = await startTestCluster({ shards: 2 });
  }, 300_000);
  afterAll(() => cluster?.stop());

  const check = async (options: Partial<VerifyOptions> = {}): Promise<Verdict> => {
    const [topology] = await cluster.control.query<{ owners: ShardId[] }>({ text: 'select owners from topology order by epoch desc limit 1' });
    return verifyLedger({
      kafka: cluster.kafka,
      topicPrefix: cluster.local.file.topicPrefix,
      slots: cluster.local.file.slots,
      owners: topology!.owners,
      control: cluster.control,
      shards: cluster.shard,
      allShardIds: cluster.local.file.shards.map(({ id }) => id as ShardId),
      waitMs: 60_000,
      signal: AbortSignal.timeout(120_000),
      ...options,
    });
  };

  /** Runs one statement on a shard that has something to spoil there, checks, and puts the row back. */
  async function spoiled(table: string, where: string, change: string): Promise<Verdict> {
    for (const { id } of cluster.local.file.shards) {
      const database = cluster.shard(id);
      const [row] = await database.query<{ at: string; row: string }>({ text: `select ctid::text as at, to_jsonb(t)::text as row from ${table} t where ${where} limit 1` });
      if (row === undefined) continue;
      const [spoilt] = await database.query<{ at: string }>({ text: `update ${table} set ${change} where ctid = $1::tid returning ctid::text as at`, values: [row.at] });
      try {
        return await check();
      } finally {
        await database.transaction(async (tx) => {
          await tx.query({ text: `delete from ${table} where ctid = $1::tid`, values: [spoilt!.at] });
          await tx.query({ text: `insert into ${table} select * from jsonb_populate_record(null::${table}, $1::jsonb)`, values: [row.row] });
        });
      }
    }
    throw new Error(`no shard has a row of ${table} where ${where}`);
  }

  test('no verdict is wrong while sagas are under way and slots move; in the end all of them have ended', async () => {
    const load = await startOrders(cluster, { run: 'live', atOnce: 4, pauseMs: 60 });
    const [source, target] = cluster.local.file.shards.map(({ id }) => id);
    const verdicts: Verdict[] = [];
    for (let n = 0; n < 3; n += 1) {
      const [slot] = await cluster.ring.slotsOf(must(source, 'two shards'));
      const move = await cluster.ring.move(must(slot, 'it owns slots'), must(target, 'two shards'));
      verdicts.push(await check({ recordsPerPassMax: n % 2 === 0 ? 200 : 1_000_000 }));
      await cluster.ring.untilMove(move, 'done');
    }
    const { receipts, orders } = await load.stop();
    const placed = orders.length;
    for (const verdict of verdicts) {
      expect(verdict.differences).toEqual([]);
      expect(verdict.orders.open + verdict.orders.confirmed).toBeGreaterThan(0);
    }
    const last = await check({ acked: receipts, requireEnded: true });
    expect(formatVerdict(last)).toContain('\nclean: ');
    expect(last).toMatchObject({ clean: true, acked: receipts.length, openSagas: [], heldForOpen: 0, messagesUnderWay: 0, parked: 0, sumsJudged: true });
    const sagas = await untilSagasEnded(cluster, { atLeast: placed });
    const { orders: all, returns, transfers } = last;
    expect(all.confirmed + all.rejected + all.cancelled).toBe(placed);
    expect(all.confirmed + returns.confirmed + transfers.confirmed).toBe(sagas.confirmed);
    expect(Math.min(all.confirmed, returns.confirmed, transfers.confirmed)).toBeGreaterThan(0);
    expect(await check({ acked: receipts, requireEnded: true, recordsPerPassMax: 1_000 })).toEqual(last);
  }, 300_000);

  test.each<[fault: string, kinds: readonly (keyof Verdict)[], table: string, where: string, change: string]>([
    ['escrow that nobody gave back', ['wrongHold', 'unsettled', 'wrongEscrow'], 'hold', `state = 'released' and units > 0`, `state = 'held'`],
    ['a hold that is released, of a saga that was confirmed', ['wrongHold', 'unsettled'], 'hold', `state = 'confirmed'`, `state = 'released'`],
    ['a saga in another state', ['wrongSaga'], 'saga', `state = 'confirmed'`, `state = 'rejected'`],
    ['units of a return that were not returned', ['wrongSaga'], 'saga', `body ? 'returned'`, `body = jsonb_set(body, '{returned,0}', '99')`],
    ['money that is made', ['wrongBalance', 'notConserved'], 'account', 'true', 'balance = balance + 1'],
    ['units that are gone', ['wrongStock', 'notConserved'], 'stock', 'on_hand > 0', 'on_hand = on_hand - 1'],
    ['room that is promised to nobody', ['wrongBalance', 'wrongEscrow'], 'account', 'true', 'incoming = 1'],
    ['a journal row that lost its messages', ['wrongMessage', 'inventedMessage'], 'journal', `stream = 'writes' and type = 'stock.hold' and messages is not null`, 'messages = null'],
    ['a message that is not the one in the topic', ['wrongMessage', 'inventedMessage', 'lostMessage'], 'journal', `stream = 'sagas' and type = 'order.start' and messages is not null`, `messages = jsonb_set(messages::jsonb, '{0,data,attempt}', '7')::json`],
    ['a transition that tells another state', ['wrongRow'], 'journal', `stream = 'sagas' and detail ->> 'state' = 'confirmed'`, `detail = detail || '{"state": "cancelled"}'`],
  ])('%s is found', async (_, kinds, table, where, change) => {
    const verdict = await spoiled(table, where, change);
    expect(verdict.clean).toBe(false);
    for (const kind of kinds) expect([kind, verdict[kind]]).not.toEqual([kind, 0]);
  });

  test('what moves while all is looked at is looked at again: the sums are judged in the end', async () => {
    const slots = cluster.local.file.slots;
    const account = must(Array.from({ length: 10_000 }, (_, n) => `stirs-${n}`).find((id) => cluster.slotOf(id) === slots - 1), 'an account in the last slot');
    let stirred: Promise<unknown> | undefined;
    // The last of many passes finds what the cut did not have.
    const onProgress = (): void => {
      stirred ??= cluster.call('POST', '/v1/accounts', { body: { account, currency: 'GBP' }, idempotencyKey: account, headers: { prefer: 'wait=30' } });
    };
    const verdict = await check({ requireEnded: true, recordsPerPassMax: 1, onProgress });
    expect(await stirred).toMatchObject({ status: 200 });
    expect(verdict).toMatchObject({ clean: true, notEnded: 0, sumsJudged: true });
  });

  test('and what was spoilt is put back', async () => {
    expect(await check({ requireEnded: true })).toMatchObject({ clean: true });
  });
});

async function verify(options: Partial<VerifyOptions> = {}): Promise<Verdict> {
  const signal = AbortSignal.timeout(60_000);
  return verifyLedger({ kafka, topicPrefix: '', slots: OWNERS.length, owners: OWNERS, shards: shard, allShardIds: [A, B], signal, ...options });
}

function shard(id: ShardId): Database {
  return must(shards.get(id), `shard ${id}`);
}

/** Runs one statement that must change something, and puts the tables back after the test. */
async function spoil(id: ShardId, text: string): Promise<void> {
  const tables = ['slot', 'changed', 'incoming', 'position', 'journal', 'parked', 'account', 'payment', 'orders', 'stock', 'hold', 'saga', 'shard_identity'];
  for (const table of tables) await shard(id).query({ text: `create table kept_${table} as table ${table}` });
  repair.push(async () => {
    await shard(id).query({ text: `truncate ${tables.join(', ')}` });
    for (const table of tables) {
      await shard(id).query({ text: `insert into ${table} table kept_${table}` });
      await shard(id).query({ text: `drop table kept_${table}` });
    }
  });
  const changed = await shard(id).query({ text: `${text} returning 1` });
  expect(changed.length).toBeGreaterThan(0);
}

/** Kafka's own time of each record, which no simulation can know. */
async function timesOfLog(): Promise<ReadonlyMap<string, number>> {
  const times = new Map<string, number>();
  await readTopic({
    kafka,
    topic: topicNames('').writes,
    signal: AbortSignal.timeout(60_000),
    onRecords: (slot, records) => {
      for (const { offset, timestampMs } of records) times.set(`${slot}/${offset}`, timestampMs);
    },
  });
  return times;
}

async function createTestDatabase(name: string): Promise<Database> {
  const options = { applicationName: 'test', poolMax: 4, statementTimeoutMs: 30_000, idleInTransactionTimeoutMs: 30_000, connectTimeoutMs: 10_000, log };
  const server = must(postgres, 'Postgres is up');
  const admin = createDatabase({ ...options, name: 'admin', url: server.url });
  await admin.query({ text: `create database ${name}` });
  await admin.end();
  const url = new URL(server.url);
  url.pathname = `/${name}`;
  return createDatabase({ ...options, name, url: url.href });
}

async function fillShard(snapshot: ShardSnapshot, times: ReadonlyMap<string, number>): Promise<void> {
  const id = snapshot.shard;
  const database = await createTestDatabase(`shard_${id}`);
  shards.set(id, database);
  await prepareShard({ database, identity: { clusterId: '00000000-0000-4000-8000-000000000000', shard: id, slots: OWNERS.length }, log });
  await seedSlots(database, { epoch: 1 as Epoch, slots: [...snapshot.slots.keys()] as Slot[] });
  await database.transaction(async (tx) => {
    for (const [slot, rows] of snapshot.slots) await fillSlot(tx, slot, rows, (offset) => must(times.get(`${slot}/${offset}`), 'every record has a time'));
  });
}

async function fillSlot(tx: Tx, slot: number, rows: SlotRows, timeOf: (offset: bigint) => number): Promise<void> {
  const insert = async (table: string, row: Readonly<Record<string, unknown>>): Promise<void> => {
    const names = Object.keys(row);
    const text = `insert into ${table} (${names.map((name) => `"${name}"`).join(', ')}) values (${names.map((_, i) => `$${i + 1}`).join(', ')})`;
    await tx.query({ text, values: Object.values(row) });
  };
  const { nextOffset, relayedOffset } = must(rows.streams.writes.position, 'every slot has a position');
  await tx.query({ text: `update position set next_offset = $2, relayed_offset = $3 where slot = $1 and stream = 'writes'`, values: [slot, nextOffset, relayedOffset] });
  for (const { offset, bodyHash, digest, outcome, key, type, code, first, releasedBy, messages } of rows.streams.writes.journal) {
    const facts = Object.entries({ code, first, released_by: releasedBy }).filter(([, fact]) => fact !== null);
    const detail = facts.length === 0 ? null : JSON.stringify(Object.fromEntries(facts));
    await insert('journal', { slot, stream: 'writes', offset, body_hash: bodyHash, at_ms: timeOf(offset), digest, outcome, key, type, detail, messages: messages === null ? null : JSON.stringify(messages) });
  }
  for (const { offset, key, value } of rows.streams.writes.parked) await insert('parked', { slot, stream: 'writes', offset, key, value, at_ms: timeOf(offset), reason: 'test' });
  for (const row of rows.accounts) await insert('account', { slot, ...row });
  for (const { orderId, ...row } of rows.payments) await insert('payment', { slot, ...row, order_id: orderId });
  for (const { lines, ...row } of rows.orders) await insert('orders', { slot, ...row, lines: JSON.stringify(lines) });
  for (const { key, onHand, reserved, incoming } of rows.stock) await insert('stock', { slot, key, on_hand: onHand, reserved, incoming });
}
