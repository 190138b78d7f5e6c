/**
 * Moves that are turned back at every step where that is possible; and what clients and operators do to a slot while it
 * is on its way: parked keys that are released, idempotency keys that come again.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createLanes, type Lanes } from '@millrace/kafka';
import { listParked, releaseRecord } from '@millrace/slot-processor';
import { holdAt, releaseMoves, startTestCluster, statesOf, until, type Move, type TestCluster } from '@millrace/testkit';
import { encodeWrite } from '@millrace/wire';
import { must } from '@millrace/write';

let cluster: TestCluster;
let lanes: Lanes;
beforeAll(async () => {
  cluster = await startTestCluster({ shards: 2, writers: 1, slots: 16, env: { MOVES_PER_PAIR: '6' } });
  lanes = await createLanes({ kafka: cluster.kafka, topic: 'writes', log: cluster.log, limits: { recordsPerRequestMax: 500, queuedRecordsMax: 5_000, queuedBytesMax: 10_000_000, requestTimeoutMs: 10_000 } });
  const report = await cluster.drive({ seed: 'before', writes: 3_000 });
  expect(report).toMatchObject({ ending: { is: 'complete' }, acked: 3_000 });
}, 600_000);
afterEach(() => releaseMoves(cluster), 600_000);
afterAll(async () => {
  await lanes?.close();
  await cluster?.stop();
});

/** Under load, with a clean ledger at the end. */
async function survives(run: string, work: () => Promise<unknown>): Promise<void> {
  const load = cluster.load(run, 100);
  await work().finally(() => load.stop());
  const report = await load.stop();
  expect(report).toMatchObject({ ending: { is: 'complete' }, failed: 0, unsettled: 0 });
  const verdict = await cluster.verify(report.receipts, { requireEnded: true });
  expect(verdict.differences).toEqual([]);
  expect(verdict).toMatchObject({ clean: true, sumsJudged: true, moving: 0, acked: report.acked });
}

async function epochOf(shard: string, slot: number): Promise<bigint> {
  const [row] = await cluster.shard(shard).query<{ epoch: bigint }>({ text: 'select epoch from slot where slot = $1', values: [slot] });
  return must(row, `shard ${shard} has a row of slot ${slot}`).epoch;
}

async function slotOn(shard: string): Promise<number> {
  return must((await cluster.ring.slotsOf(shard))[0], `shard ${shard} has a slot`);
}

/** An account that nobody else writes, in the slot. */
function accountIn(slot: number, run: string): string {
  for (let i = 0; ; i += 1) if (cluster.slotOf(`${run}-${i}`) === slot) return `${run}-${i}`;
}

describe('a move is turned back', () => {
  const STEPS = ['prepared', 'opened', 'copying', 'copied', 'compared', 'fenced'] as const;

  test('before it begins and at every step up to the fence: its slot stays, nothing of it is left, and a later move takes it', async () => {
    const slots = (await cluster.ring.slotsOf('a')).slice(0, STEPS.length + 1);
    const epochs = await Promise.all(slots.map((slot) => epochOf('a', slot)));
    await survives('turned', async () => {
      const held = await Promise.all(
        STEPS.map(async (step, i) => {
          const ends = { slot: slots[i]!, source: 'a', target: 'b' };
          // Whatever the mover has not heard of the abort yet, it does not get past the activation.
          const last = await holdAt(cluster, 'fenced', ends);
          const gate = step === 'fenced' ? last : await holdAt(cluster, step, ends);
          return { last, gate, move: await cluster.ring.move(ends.slot, 'b') };
        }),
      );
      await Promise.all(held.map(({ gate }) => gate.reached()));
      const planned = await cluster.ring.move(slots[STEPS.length]!, 'b');
      expect(await steer(planned, 'abort')).toMatchObject({ status: 202, body: { state: 'aborted' } });
      for (const { move } of held) expect(await steer(move, 'abort')).toMatchObject({ status: 202, body: { state: 'aborting' } });
      for (const { gate, last } of held) if (gate !== last) await gate.open();
      // A session that is cut fails, and the mover asks anew what is wished.
      await until('every move is turned back', async () => {
        for (const { last } of held) await last.cut();
        return (await Promise.all(held.map(({ move }) => stateOf(move)))).every((state) => state === 'aborted');
      }, { deadlineMs: 240_000 });
      for (const [i, { move, last }] of held.entries()) {
        expect(await statesOf(cluster, move.slot)).toEqual({ a: 'ACTIVE', b: 'ABORTED' });
        expect(await epochOf('a', move.slot)).toBeGreaterThan(epochs[i]!);
        expect(await steer(move, 'abort')).toMatchObject({ status: 409, body: { code: 'move_state' } });
        await last.open();
      }
      expect(await statesOf(cluster, planned.slot)).toEqual({ a: 'ACTIVE' });
      await arrive(slots, 'b');
    });
  }, 600_000);

  test('too late, when its target is active: the answer says so, and it goes on', async () => {
    await survives('too-late', async () => {
      const slot = await slotOn('b');
      const gate = await holdAt(cluster, 'purging', { slot, source: 'b', target: 'a' });
      const move = await cluster.ring.move(slot, 'a');
      await gate.reached();
      expect(await steer(move, 'abort')).toMatchObject({ status: 409, body: { code: 'move_state' } });
      await gate.open();
      await cluster.ring.untilMove(move, 'done');
    });
  }, 600_000);
});

test('a move that is paused past its fence is finished first, so that its slot is applied, and then rests until it is resumed', async () => {
  await survives('paused', async () => {
    const slot = await slotOn('a');
    const gate = await holdAt(cluster, 'fenced', { slot, source: 'a', target: 'b' });
    const move = await cluster.ring.move(slot, 'b');
    await gate.reached();
    expect(await steer(move, 'pause')).toMatchObject({ status: 202, body: { paused: true } });
    await gate.open();
    await until('the topology names the target', async () => (await cluster.ring.slotsOf('b')).includes(slot));
    expect(await statesOf(cluster, slot)).toEqual({ a: 'MOVED', b: 'ACTIVE' });
    await steer(move, 'resume');
    await cluster.ring.untilMove(move, 'done');
  });
}, 600_000);

test('between fence and activation a write is acked, and what asks for it waits; before the topology names the new owner it is read there', async () => {
  await survives('read', async () => {
    const slot = await slotOn('b');
    const account = accountIn(slot, 'read');
    const deposit = async (id: string): Promise<string> => {
      const { status, body } = await cluster.call('POST', `/v1/accounts/${account}/deposits`, { body: { amount: '1', currency: 'JPY' }, idempotencyKey: id });
      expect(status).toBe(202);
      return String(body['receipt']);
    };
    /** The first answer that is no 503: a slow machine may need more than one wait. */
    const read = (query: string) => until(`account ${account} is read`, () => cluster.call('GET', `/v1/accounts/${account}${query}`).then((answer) => (answer.status === 503 ? undefined : answer)));
    await cluster.call('POST', '/v1/accounts', { body: { account, currency: 'JPY' }, idempotencyKey: `open-${account}` });
    expect(await read(`?after=${await deposit('before')}`)).toMatchObject({ status: 200, body: { balance: '1' } });

    const ends = { slot, source: 'b', target: 'a' };
    const [fenced, activated] = [await holdAt(cluster, 'fenced', ends), await holdAt(cluster, 'activated', ends)];
    const move = await cluster.ring.move(slot, 'a');
    await fenced.reached();
    const receipt = await deposit('between');
    const asked = [read(`?after=${receipt}`), read('')];
    expect(await statesOf(cluster, slot)).toEqual({ a: 'INCOMING', b: 'MOVED' });
    await fenced.open();
    await activated.reached();
    expect(await asked[0]).toMatchObject({ status: 200, body: { balance: '2' } });
    expect(['1', '2']).toContain((await asked[1])?.body['balance']);
    // The rows that the source still has are older; the topology still names it.
    const last = await deposit('after');
    expect(await read(`?after=${last}`)).toMatchObject({ status: 200, body: { balance: '3' } });
    expect(await read('')).toMatchObject({ status: 200, body: { balance: '3' } });
    expect((await cluster.call('GET', `/v1/writes/${last}`)).body).toMatchObject({ status: 'applied' });
    expect(await cluster.ring.slotsOf('b')).toContain(slot);
    await activated.open();
    await cluster.ring.untilMove(move, 'done');
    expect(await read('')).toMatchObject({ status: 200, body: { balance: '3' } });
  });
}, 600_000);

describe('a slot with a parked key', () => {
  const keyOf = (account: string): string => `demo/${account}`;
  const raw = (account: string, value: string) => lanes.send({ slot: cluster.slotOf(account), key: keyOf(account), value });
  const write = (account: string, type: string, id: string, data: unknown) => raw(account, encodeWrite({ type, idempotencyKey: id, data }));
  const parked = async (shard: string, account: string) => (await listParked(cluster.shard(shard), 100)).find(({ key }) => key === keyOf(account));
  const balance = async (account: string) => (await cluster.call('GET', `/v1/accounts/${account}`)).body['balance'];
  const skip = (account: string) => lanes.send(releaseRecord({ slot: cluster.slotOf(account), key: keyOf(account), action: 'skip', id: `skip-${account}` }));

  async function park(account: string, shard: string): Promise<void> {
    await write(account, 'account.open', 'open', { account, currency: 'JPY' });
    await raw(account, 'this is not JSON');
    for (const id of ['d1', 'd2']) await write(account, 'account.deposit', id, { account, amount: '5', currency: 'JPY' });
    await until(`three records of ${account} wait on ${shard}`, async () => (await parked(shard, account))?.records === 3n);
  }

  test('moves with what waits; a release on the new shard applies it in order', async () => {
    await survives('parked', async () => {
      const slot = await slotOn('a');
      const account = accountIn(slot, 'parked-key');
      await park(account, 'a');
      await cluster.ring.untilMove(await cluster.ring.move(slot, 'b'), 'done');
      expect(await parked('a', account)).toBe(undefined);
      expect(await parked('b', account)).toMatchObject({ records: 3n, reason: 'the value is not JSON' });
      expect(await balance(account)).toBe('0');
      await write(account, 'account.deposit', 'd3', { account, amount: '7', currency: 'JPY' });
      await until('a fourth waits on the new shard', async () => (await parked('b', account))?.records === 4n);
      await skip(account);
      await until('nothing waits', async () => (await parked('b', account)) === undefined);
      expect(await balance(account)).toBe('17');
    });
  }, 600_000);

  test('is released while everything of it was copied and compared: the release arrives with the rounds', async () => {
    await survives('released', async () => {
      const slot = await slotOn('b');
      const account = accountIn(slot, 'released-key');
      await park(account, 'b');
      const gate = await holdAt(cluster, 'compared', { slot, source: 'b', target: 'a' });
      const move = await cluster.ring.move(slot, 'a');
      await gate.reached();
      await skip(account);
      await until('nothing waits', async () => (await parked('b', account)) === undefined);
      expect(await statesOf(cluster, slot)).toEqual({ a: 'INCOMING', b: 'MOVING' });
      expect(await balance(account)).toBe('10');
      await gate.open();
      await cluster.ring.untilMove(move, 'done');
      expect(await parked('a', account)).toBe(undefined);
      expect(await balance(account)).toBe('10');
    });
  }, 600_000);
});

test('W6 a write that comes again after the move, or between fence and activation, is a duplicate; another body under its key is refused', async () => {
  await survives('again', async () => {
    const slot = await slotOn('a');
    const account = accountIn(slot, 'again');
    const record = (idempotencyKey: string, amount: string) => ({ slot: cluster.slotOf(account), key: `demo/${account}`, value: encodeWrite({ type: 'account.deposit', idempotencyKey, data: { account, amount, currency: 'JPY' } }) });
    const balance = async () => (await cluster.call('GET', `/v1/accounts/${account}`)).body['balance'];
    const untilBalance = (amount: string) => until(`the balance is ${amount}`, async () => (await balance()) === amount);
    await cluster.call('POST', '/v1/accounts', { body: { account, currency: 'JPY' }, idempotencyKey: 'open' });
    // Not through the gateway, which remembers what it has acked.
    await lanes.send(record('once', '5'));
    await untilBalance('5');
    const gate = await holdAt(cluster, 'fenced', { slot, source: 'a', target: 'b' });
    const move = await cluster.ring.move(slot, 'b');
    await gate.reached();
    await lanes.sendMany([record('once', '5'), record('once', '6'), record('between', '10')]);
    await gate.open();
    await untilBalance('15');
    await cluster.ring.untilMove(move, 'done');
    await lanes.sendMany([record('once', '5'), record('between', '10'), record('between', '11'), record('after', '100')]);
    await untilBalance('115');
    const rows = await cluster.shard('b').query<{ code: string | null; rows: bigint }>({
      text: `select detail ->> 'code' as code, count(*) as rows from journal where slot = $1 and key = $2 and type = 'account.deposit' group by 1 order by 1 nulls first`,
      values: [slot, `demo/${account}`],
    });
    expect(rows).toEqual([{ code: null, rows: 3n }, { code: 'idempotency_mismatch', rows: 2n }]);
  });
}, 600_000);

const steer = (move: Move, how: 'abort' | 'pause' | 'resume') => cluster.ring.call('POST', `/v1/moves/${move.id}/${how}`);

async function stateOf(move: Move): Promise<string> {
  return (await cluster.ring.call('GET', `/v1/moves/${move.id}`)).body['state'] as string;
}

async function arrive(slots: readonly number[], target: string): Promise<void> {
  const moves: Move[] = [];
  for (const slot of slots) moves.push(await cluster.ring.move(slot, target));
  for (const move of moves) await cluster.ring.untilMove(move, 'done');
}
