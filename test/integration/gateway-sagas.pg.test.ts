/** How the gateway follows a write into its saga, on two real shards. Writer, orchestrator and mover are played by the test, row by row. */
import { describe, expect, test } from '@jest/globals';
import type { SagaStateName } from '@millrace/domain';
import type { Tx } from '@millrace/postgres';
import { slotOf } from '@millrace/ring';
import type { Saga } from '@millrace/saga';
import { until } from '@millrace/testkit';
import { decodeReceipt, digestOf, encodeReceipt, routingKey, type Offset, type Slot, type Tenant } from '@millrace/write';
import fc from 'fast-check';
import { readProgress } from '../../services/ingest-gateway/src/read/positions.sql.ts';
import { A, answerTo, AT_MS, B, begun, caller, common, DEMO, done, entity, get, open, putSaga, record, shards, SLOTS, useReads, waitedFor, watch, wrote, type Entity } from './followed-sagas.ts';

useReads();

const WAIT = { prefer: 'wait=30' };

async function finish(tx: Tx, one: Entity): Promise<void> {
  await record(tx, 'sagas', one, { type: 'saga.reply', detail: { saga: 'order', state: 'confirmed' satisfies SagaStateName } });
  await putSaga(tx, one, 'order', done);
}

/** A turn of the stream that has nothing of anybody who waits. */
async function pass(one: Entity, records: number): Promise<void> {
  await shards.get(A).query({
    text: `insert into journal (slot, stream, "offset", body_hash, at_ms, outcome, key, type, detail)
           select p.slot, 'sagas', p.next_offset + n, 0, 0, 'applied', 'demo/other', 'saga.reply', '{"state": "confirmed"}' from position p, generate_series(0, $2::int - 1) n
           where p.slot = $1 and p.stream = 'sagas'`,
    values: [one.slot, records],
  });
  await shards.get(A).query({ text: `update position set next_offset = next_offset + $2 where slot = $1 and stream = 'sagas'`, values: [one.slot, records] });
}

const waiters = (count: number): Promise<unknown> => until(`${count} wait`, () => watch.waiters() === count, { pollMs: 2 });
const confirmed = { status: 200, json: { status: 'applied', outcome: { state: 'confirmed' } } };

describe('the status of a write that goes on', () => {
  test('is found by what it sent, whatever its key and its offset', async () => {
    const id = fc.stringMatching(/^[!-.0-~]{1,64}$/);
    const offset = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 62n }), fc.bigInt({ min: 0n, max: 100n }));
    await fc.assert(
      fc.asyncProperty(id, offset, async (name, at) => {
        const key = routingKey(DEMO, name);
        const one = { id: name, key, slot: slotOf(key, SLOTS) };
        await shards.get(A).query({ text: 'delete from journal where slot = $1', values: [one.slot] });
        const written = await wrote(one, 'order.cancel', { offset: at });
        expect((await get(`/v1/writes/${written.receipt}`)).json).toEqual({ receipt: written.receipt, status: 'accepted' });
        await shards.get(A).transaction((tx) => record(tx, 'sagas', one, { type: 'saga.cancel', outcome: 'refused', digest: answerTo(one, at), detail: { code: 'too_late' } }));
        expect((await get(`/v1/writes/${written.receipt}`)).json).toMatchObject({ status: 'refused', code: 'too_late', type: 'order.cancel' });
      }),
      { numRuns: 60 },
    );
    for (const shard of [A, B]) await shards.get(shard).query({ text: 'truncate journal' });
    await shards.get(A).query({ text: 'update position set next_offset = 0, relayed_offset = 0' });
  });

  test('is of an order applied at once, of the others when the saga has taken it', async () => {
    const one = entity();
    const { receipt } = await wrote(one, 'order.place');
    const cancel = await wrote(one, 'order.cancel');
    expect((await get(`/v1/writes/${receipt}`)).json).toMatchObject({ status: 'applied', outcome: { state: 'placed' } });
    expect((await get(`/v1/writes/${cancel.receipt}`)).json).toEqual({ receipt: cancel.receipt, status: 'accepted' });
  });

  test('is nobody else’s: who forges a receipt waits for nothing and learns nothing', async () => {
    const one = entity();
    const { receipt } = await open(one);
    caller.tenant = 'other' as Tenant;
    const forged = await get(`/v1/writes/${encodeReceipt(caller.tenant, decodeReceipt(DEMO, receipt)!)}`, { prefer: 'wait=2' });
    caller.tenant = DEMO;
    expect(forged).toMatchObject({ status: 404, json: { code: 'not_found' } });
    expect(waitedFor).not.toContain(one.key);
  });
});

describe('a wait for the end of a saga', () => {
  test('ends with it, and not with a stage before it', async () => {
    const one = entity();
    const { receipt } = await open(one);
    const waiting = get(`/v1/writes/${receipt}`, WAIT);
    await waiters(1);
    await shards.get(A).transaction(async (tx) => {
      await record(tx, 'sagas', one, { type: 'saga.reply', detail: { saga: 'order', state: 'confirming' } });
      await putSaga(tx, one, 'order', { ...begun, state: 'confirming' });
    });
    expect((await get(`/v1/writes/${receipt}`)).json).toMatchObject({ outcome: { state: 'placed' } });
    expect(watch.waiters()).toBe(1);
    await shards.get(A).transaction((tx) => finish(tx, one));
    expect(await waiting).toMatchObject(confirmed);
    expect(watch.waiters()).toBe(0);
  });

  test('begins before the writer and before the saga have the write', async () => {
    const one = entity();
    const digest = digestOf(one.key, 'to come');
    const receipt = encodeReceipt(DEMO, { slot: one.slot, offset: 0n as Offset, digest });
    const waiting = get(`/v1/writes/${receipt}`, WAIT);
    await waiters(1);
    await shards.get(A).transaction((tx) => record(tx, 'writes', one, { type: 'order.place', digest, goesOn: true }));
    await until('it waits for the saga', async () => watch.waiters() === 1 && (await get(`/v1/writes/${receipt}`)).json['status'] === 'applied');
    await shards.get(A).transaction(async (tx) => {
      await record(tx, 'sagas', one, { type: 'order.start', digest: answerTo(one, 0n), detail: { saga: 'order', state: 'reserving' } });
      await finish(tx, one);
    });
    expect(await waiting).toMatchObject(confirmed);
  });

  test('goes on at the new owner where the slot moves meanwhile', async () => {
    const one = entity();
    const { receipt } = await open(one);
    const waiting = get(`/v1/writes/${receipt}`, WAIT);
    await waiters(1);
    await shards.get(A).query({ text: `update slot set state = 'MOVED', moved_to = 'b' where slot = $1`, values: [one.slot] });
    await shards.get(B).query({ text: `insert into slot (slot, state, epoch) values ($1, 'INCOMING', 2)`, values: [one.slot] });
    await copy(one.slot);
    await shards.get(B).query({ text: `update slot set state = 'ACTIVE' where slot = $1`, values: [one.slot] });
    // What the source still says of it is nobody's word.
    await shards.get(A).transaction((tx) => record(tx, 'sagas', one, { type: 'saga.reply', detail: { saga: 'order', state: 'rejected' } }));
    await shards.get(B).transaction((tx) => finish(tx, one));
    expect(await waiting).toMatchObject(confirmed);
    expect((await get(`/v1/orders/${one.id}?after=${receipt}`)).json).toMatchObject({ state: 'confirmed' });
  });

  test('looks through what an outage left behind in bounded steps, and ends', async () => {
    const one = entity();
    const { receipt } = await open(one);
    const waiting = get(`/v1/writes/${receipt}`, WAIT);
    await waiters(1);
    await pass(one, 7_000);
    await shards.get(A).transaction((tx) => finish(tx, one));
    expect(await waiting).toMatchObject(confirmed);
    const look = async (from: bigint): Promise<object> => {
      const [row] = await readProgress(shards.get(A), [{ slot: one.slot, from }]);
      return { to: row?.looked_to, told: row?.told?.includes(one.key) ?? false, ended: row?.ended?.includes(one.key) ?? false };
    };
    expect(await look(0n)).toEqual({ to: 250n, told: true, ended: false });
    expect(await look(1n)).toEqual({ to: 251n, told: false, ended: false });
    expect(await look(7_000n)).toEqual({ to: 7_002n, told: true, ended: true });
    expect(await look(7_002n)).toEqual({ to: 7_002n, told: false, ended: false });
  });

  test('ends where its records are parked, and where an operator let them go in the meantime', async () => {
    const [parked, released] = [entity(), entity()];
    const receipts = [await open(parked), await open(released)];
    await pass(released, 5);
    const waiting = receipts.map(({ receipt }) => get(`/v1/writes/${receipt}`, WAIT));
    await waiters(2);
    await shards.get(A).transaction(async (tx) => {
      await tx.query({ text: `insert into parked (slot, stream, "offset", key, at_ms, reason) select slot, 'sagas', next_offset, $2, 0, 'bad' from position where stream = 'sagas' and slot = $1`, values: [parked.slot, parked.key] });
      await tx.query({ text: `update position set next_offset = next_offset + 1 where stream = 'sagas' and slot = $1`, values: [parked.slot] });
    });
    expect(await waiting[0]).toMatchObject({ status: 200, json: { status: 'parked', reason: 'the records of its saga wait: bad' } });
    const [stuck] = await readProgress(shards.get(A), [{ slot: parked.slot, from: 1n }]);
    expect(stuck).toMatchObject({ looked_to: 2n, told: [parked.key], ended: [parked.key] });
    // What a release lets go has its row where it stands in the log: behind what was looked through.
    await shards.get(A).transaction(async (tx) => {
      await tx.query({ text: `delete from journal where slot = $1 and stream = 'sagas' and "offset" = 1`, values: [released.slot] });
      await record(tx, 'sagas', released, { type: 'saga.reply', offset: 1n, detail: { saga: 'order', state: 'confirmed' } });
      await putSaga(tx, released, 'order', done);
      await record(tx, 'sagas', released, { type: 'parked.release', detail: { action: 'retry' } });
    });
    expect(await waiting[1]).toMatchObject(confirmed);
    const [seen] = await readProgress(shards.get(A), [{ slot: released.slot, from: 6n }]);
    expect(seen).toMatchObject({ looked_to: 7n, ended: [released.key] });
  });

  test('that is not in time says what there is', async () => {
    const one = entity();
    const { receipt } = await open(one);
    expect((await get(`/v1/writes/${receipt}`, { prefer: 'wait=1' })).json).toMatchObject({ status: 'applied', outcome: { state: 'placed' } });
  });
});

/** All rows of a slot, to B. */
async function copy(slot: Slot): Promise<void> {
  for (const table of ['journal', 'orders', 'saga', 'position']) {
    const [row] = await shards.get(A).query<{ rows: string }>({ text: `select coalesce(json_agg(t), '[]')::text as rows from "${table}" t where slot = $1`, values: [slot] });
    await shards.get(B).query({ text: `insert into "${table}" select * from json_populate_recordset(null::"${table}", $1)`, values: [row!.rows] });
  }
}

describe('a read with the receipt', () => {
  test('of a cancel waits for the saga’s answer; one of the order, and one of what sagas do not change, does not', async () => {
    const one = entity();
    const placed = await open(one);
    const cancel = await wrote(one, 'order.cancel');
    expect((await get(`/v1/orders/${one.id}?after=${placed.receipt}`)).json).toMatchObject({ state: 'placed', total: '1.00' });
    expect(await get(`/v1/accounts/${one.id}?after=${cancel.receipt}`)).toMatchObject({ status: 404 });
    expect(await get(`/v1/orders/${one.id}?after=${cancel.receipt}`, { prefer: 'wait=1' })).toMatchObject({ status: 503, json: { code: 'not_yet_applied' } });
    const reading = get(`/v1/orders/${one.id}?after=${cancel.receipt}`, WAIT);
    await waiters(1);
    const undoing: Saga = { ...common, state: 'undoing', waiting: [0], ends: 'cancelled', cause: { code: 'cancelled_by_client' }, history: [...begun.history, { state: 'undoing', at_ms: AT_MS + 1 }] };
    await shards.get(A).transaction(async (tx) => {
      await record(tx, 'sagas', one, { type: 'saga.cancel', digest: answerTo(one, cancel.offset), detail: { saga: 'order', state: 'undoing' } });
      await putSaga(tx, one, 'order', undoing);
    });
    expect((await reading).json).toMatchObject({ state: 'placed', reason: 'cancelled_by_client', history: [{ state: 'placed' }, { state: 'undoing', at: '2023-11-14T22:13:20.001Z' }] });
  });

  test('of a transfer waits until there is one', async () => {
    const one = entity();
    const { receipt, offset } = await wrote(one, 'transfer.place');
    expect(await get(`/v1/transfers/${one.id}`)).toMatchObject({ status: 404 });
    const reading = get(`/v1/transfers/${one.id}?after=${receipt}`, WAIT);
    await waiters(1);
    const parts = [common.parts[0], { ...common.parts[0], id: 'to', direction: 'in' as const }];
    await shards.get(A).transaction(async (tx) => {
      await record(tx, 'sagas', one, { type: 'transfer.start', digest: answerTo(one, offset), detail: { saga: 'transfer', state: 'reserving' } });
      await putSaga(tx, one, 'transfer', { ...begun, kind: 'transfer', parts, waiting: [0, 1] });
    });
    expect(await reading).toMatchObject({ status: 200, json: { transfer: one.id, from: 'acc', to: 'to', amount: '1.00', state: 'placed' } });
  });
});
