/** The ledger checker against a real cluster with orders, returns and transfers, under way and ended, whole and spoilt. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { formatVerdict, verifyLedger, type Verdict, type VerifyOptions } from '@millrace/ledger';
import { startOrders, startTestCluster, untilSagasEnded, type TestCluster } from '@millrace/testkit';
import { must, type ShardId } from '@millrace/write';

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
