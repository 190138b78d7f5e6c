/** The life of orders, returns and transfers over HTTP, on a real cluster with two shards. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createLanes, topicOffsets, type Lanes } from '@millrace/kafka';
import { listParked, releaseRecord } from '@millrace/slot-processor';
import { startTestCluster, until, type Answer, type TestCluster } from '@millrace/testkit';
import { topicNames } from '@millrace/wire';
import { routingKey, type Stream, type Tenant } from '@millrace/write';

const LANE = { recordsPerRequestMax: 10, queuedRecordsMax: 100, queuedBytesMax: 1024 * 1024, requestTimeoutMs: 10_000 };
const WAIT = { prefer: 'wait=30' };

let cluster: TestCluster;
let lanes: Readonly<Record<Stream, Lanes>>;
let tenant: Tenant;

beforeAll(async () => {
  cluster = await startTestCluster({ shards: 2, slots: 16, durable: false });
  const { kafka, log, local } = cluster;
  tenant = local.file.tenant as Tenant;
  const topics = topicNames(local.file.topicPrefix);
  const [writes, sagas] = await Promise.all([topics.writes, topics.sagas].map((topic) => createLanes({ kafka, topic, log, limits: LANE })));
  lanes = { writes: writes!, sagas: sagas! };
}, 300_000);

afterAll(async () => {
  await Promise.all(Object.values(lanes ?? {}).map((each) => each.close()));
  await cluster?.stop();
});

interface Line {
  readonly sku: string;
  readonly quantity: number;
  readonly unit_price: string;
}

const get = async (path: string): Promise<Record<string, unknown>> => (await cluster.call('GET', path)).body;
const account = (id: string): Promise<Record<string, unknown>> => get(`/v1/accounts/${id}`);
const stock = (id: string): Promise<Record<string, unknown>> => get(`/v1/stock/${id}`);
const order = (id: string, after?: unknown): Promise<Record<string, unknown>> => get(`/v1/orders/${id}${after === undefined ? '' : `?after=${String(after)}`}`);

/** Waits for the end, unless `headers` say otherwise. */
function post(path: string, body: object, { headers = WAIT, idempotencyKey = randomUUID() }: { readonly headers?: Readonly<Record<string, string>>; readonly idempotencyKey?: string } = {}): Promise<Answer> {
  return cluster.call('POST', path, { body, headers, idempotencyKey });
}

async function funded(id: string, amount: string, currency = 'GBP'): Promise<string> {
  expect((await post('/v1/accounts', { account: id, currency })).body).toMatchObject({ status: 'applied' });
  if (Number(amount) > 0) expect((await post(`/v1/accounts/${id}/deposits`, { amount, currency })).body).toMatchObject({ status: 'applied' });
  return id;
}

async function stocked(id: string, quantity: number): Promise<string> {
  if (quantity > 0) expect((await post(`/v1/stock/${id}/receipts`, { quantity })).body).toMatchObject({ status: 'applied' });
  return id;
}

const place = (id: string, from: string, lines: readonly Line[], options?: Parameters<typeof post>[2]): Promise<Answer> => post('/v1/orders', { order: id, account: from, currency: 'GBP', lines }, options);
const line = (sku: string, quantity = 1, price = '1.00'): Line => ({ sku, quantity, unit_price: price });
const NOW: Parameters<typeof post>[2] = { headers: {} };

/** A record that cannot be read: from here on the key waits in the stream, with all that comes for it. */
async function park(stream: Stream, id: string): Promise<void> {
  await lanes[stream].send({ slot: cluster.slotOf(id), key: routingKey(tenant, id), value: 'not json' });
}

/** Lets go what waits behind the record that cannot be read. */
async function unpark(stream: Stream, id: string): Promise<void> {
  const key = routingKey(tenant, id);
  await lanes[stream].send(releaseRecord({ slot: cluster.slotOf(id), key, action: 'skip', id: randomUUID() }));
  await until(`${key} is parked no more`, async () => !(await Promise.all(['a', 'b'].map((shard) => listParked(cluster.shard(shard), 100)))).flat().some((each) => each.key === key && each.stream === stream));
}

const stagesOf = (json: Record<string, unknown>): readonly string[] => (json['history'] as { state: string }[]).map(({ state }) => state);

/** What the answer says became of the write. */
function ended(answer: Answer): unknown {
  expect(answer.status).toBe(200);
  return { status: answer.body['status'], ...(answer.body['outcome'] as object) };
}

const confirmed = { status: 'applied', state: 'confirmed' };

describe('an order', () => {
  test('is charged and taken whole, and shows how it went', async () => {
    const before = Date.now();
    await Promise.all([funded('life-acc', '100.00'), stocked('life-a', 10), stocked('life-b', 5)]);
    const placed = await place('life', 'life-acc', [line('life-a', 4, '2.50'), line('life-b', 5, '0.1')]);
    expect(placed.body).toEqual({ receipt: expect.any(String), status: 'applied', type: 'order.place', at: expect.any(String), outcome: { state: 'confirmed' } });
    const shown = await order('life');
    expect(shown).toEqual({
      order: 'life', account: 'life-acc', state: 'confirmed', currency: 'GBP', total: '10.50',
      lines: [line('life-a', 4, '2.50'), line('life-b', 5, '0.10')],
      history: [{ state: 'placed', at: expect.any(String) }, { state: 'reserved', at: expect.any(String) }, { state: 'confirmed', at: expect.any(String) }],
      returns: [],
    });
    const times = (shown['history'] as { at: string }[]).map(({ at }) => at);
    for (const at of times) expect(new Date(at).toISOString()).toBe(at);
    expect([...times].sort()).toEqual(times);
    expect(Date.parse(times[0]!)).toBeGreaterThan(before - 60_000);
    expect(await Promise.all([account('life-acc'), stock('life-a'), stock('life-b')])).toEqual([
      { account: 'life-acc', currency: 'GBP', balance: '89.50', held: '0.00' },
      { sku: 'life-a', on_hand: 6, reserved: 0 },
      { sku: 'life-b', on_hand: 0, reserved: 0 },
    ]);
    // The same write again, by its key, and by its receipt.
    expect(await get(`/v1/writes/${String(placed.body['receipt'])}`)).toEqual(placed.body);
  });

  test('is rejected by whoever does not have enough, with the facts, and everything is given back', async () => {
    await Promise.all([funded('poor', '5.00'), funded('rich', '1000.00'), funded('dollars', '1000.00', 'USD'), stocked('few', 3), stocked('many', 100)]);
    const cases: readonly (readonly [string, string, readonly Line[], object])[] = [
      ['rej-funds', 'poor', [line('many', 10, '0.75')], { reason: 'insufficient_funds', detail: { account: 'poor', balance: '5.00', short: '2.50', currency: 'GBP' } }],
      ['rej-stock', 'rich', [line('many', 1), line('few', 5)], { reason: 'insufficient_stock', detail: { sku: 'few', on_hand: '3', short: '2' } }],
      ['rej-none', 'rich', [line('many', 1), line('never-came-in', 1)], { reason: 'insufficient_stock', detail: { sku: 'never-came-in', on_hand: '0', short: '1' } }],
      ['rej-account', 'nobody', [line('many', 1)], { reason: 'unknown_account', detail: { account: 'nobody' } }],
      ['rej-currency', 'dollars', [line('many', 1)], { reason: 'currency_mismatch', detail: { account: 'dollars', currency: 'USD' } }],
    ];
    await Promise.all(
      cases.map(async ([id, from, lines, why]) => {
        expect(ended(await place(id, from, lines))).toEqual({ status: 'applied', state: 'rejected', ...why });
        const shown = await order(id);
        expect(shown).toMatchObject({ state: 'rejected', ...why });
        expect(stagesOf(shown)).toEqual(['placed', 'undoing', 'rejected']);
      }),
    );
    expect(await Promise.all([account('poor'), account('rich'), account('dollars'), stock('few'), stock('many')])).toMatchObject([
      { balance: '5.00', held: '0.00' }, { balance: '1000.00', held: '0.00' }, { balance: '1000.00', held: '0.00' }, { on_hand: 3, reserved: 0 }, { on_hand: 100, reserved: 0 },
    ]);
    expect(ended(await place('rej-funds', 'rich', [line('many', 1)]))).toEqual({ status: 'refused', code: 'order_exists' });
  });

  test('may have a hundred lines, a sku in several of them, and cost nothing', async () => {
    const skus = Array.from({ length: 99 }, (_, n) => `wide-${n}`);
    await Promise.all([funded('wide-acc', '1.00'), ...skus.map((sku) => stocked(sku, 3))]);
    expect(ended(await place('wide', 'wide-acc', [...skus.map((sku) => line(sku, 1, '0.01')), line('wide-7', 2, '0')]))).toEqual(confirmed);
    expect(await Promise.all([account('wide-acc'), stock('wide-7'), stock('wide-8')])).toMatchObject([{ balance: '0.01', held: '0.00' }, { on_hand: 0, reserved: 0 }, { on_hand: 2, reserved: 0 }]);
    // Together the lines of a sku ask for more than is there, each by itself does not.
    expect(ended(await place('twice', 'wide-acc', [line('wide-9', 1, '0'), line('wide-9', 2, '0')]))).toMatchObject({ state: 'rejected', reason: 'insufficient_stock', detail: { sku: 'wide-9', short: '1' } });
    expect(ended(await place('free', 'wide-acc', [line('wide-9', 2, '0')]))).toEqual(confirmed);
  });

  test('may lie in the slot of its participants, and share its id with them', async () => {
    await Promise.all([funded('same', '10.00'), stocked('same', 2), funded('same-to', '0')]);
    expect(ended(await place('same', 'same', [line('same', 2, '3.00')]))).toEqual(confirmed);
    expect(ended(await post('/v1/transfers', { transfer: 'same', from: 'same', to: 'same-to', amount: '1.00', currency: 'GBP' }))).toEqual(confirmed);
    expect(await Promise.all([order('same'), get('/v1/transfers/same'), account('same'), stock('same')])).toMatchObject([
      { state: 'confirmed', total: '6.00', returns: [] }, { state: 'confirmed', amount: '1.00' }, { balance: '3.00', held: '0.00' }, { on_hand: 0, reserved: 0 },
    ]);
  });

  test('is one of a thousand for a sku of a hundred units: a hundred are confirmed, none is oversold', async () => {
    await Promise.all([funded('crowd-acc', '2000.00'), stocked('hot', 100), stocked('beside', 2_000)]);
    const data = (n: number): object => ({ order: `crowd-${n}`, account: 'crowd-acc', currency: 'GBP', lines: [line('hot'), line('beside', 2, '0.50')] });
    const acks = await bulk(Array.from({ length: 1_000 }, (_, n) => JSON.stringify({ type: 'order.place', idempotency_key: `crowd-${n}`, data: data(n) })));
    const states: Record<string, number> = {};
    await Promise.all(
      acks.map(async ({ receipt }) => {
        const { outcome } = (await until('the order has ended', async () => {
          const { status, body } = await cluster.call('GET', `/v1/writes/${String(receipt)}`, { headers: WAIT });
          // So many at once are told to come again.
          return status === 200 && body['status'] === 'applied' && (body['outcome'] as { state: string }).state !== 'placed' ? body : undefined;
        }, { pollMs: 200 })) as { outcome: { state: string; reason?: string } };
        const end = [outcome.state, outcome.reason ?? []].flat().join(' ');
        states[end] = (states[end] ?? 0) + 1;
      }),
    );
    expect(states).toEqual({ confirmed: 100, 'rejected insufficient_stock': 900 });
    expect(await Promise.all([account('crowd-acc'), stock('hot'), stock('beside')])).toMatchObject([{ balance: '1800.00', held: '0.00' }, { on_hand: 0, reserved: 0 }, { on_hand: 1_800, reserved: 0 }]);
  });
});

describe('a cancel', () => {
  test('before everything is reserved undoes the order; a read with its receipt shows it', async () => {
    await Promise.all([funded('early-acc', '10.00'), stocked('early-free', 1), stocked('early-sku', 1)]);
    await park('writes', 'early-sku');
    const placed = await place('early', 'early-acc', [line('early-sku'), line('early-free')], { headers: { prefer: 'wait=1' } });
    expect([placed.status, placed.body['status'], placed.headers.get('location')]).toEqual([202, 'accepted', `/v1/writes/${String(placed.body['receipt'])}`]);
    expect(await get(`/v1/writes/${String(placed.body['receipt'])}`)).toMatchObject({ status: 'applied', outcome: { state: 'placed' } });
    expect(stagesOf(await order('early', placed.body['receipt']))).toEqual(['placed']);
    await until('the account keeps the money', async () => (await account('early-acc'))['held'] === '2.00');

    const cancel = await post('/v1/orders/early/cancel', {}, NOW);
    const shown = await order('early', cancel.body['receipt']);
    expect(shown).toMatchObject({ state: 'placed', reason: 'cancelled_by_client' });
    expect(stagesOf(shown)).toEqual(['placed', 'undoing']);
    expect(await get(`/v1/writes/${String(cancel.body['receipt'])}`)).toMatchObject({ status: 'applied', type: 'order.cancel', outcome: { state: 'placed', reason: 'cancelled_by_client' } });
    expect(ended(await post('/v1/orders/early/cancel', {}))).toEqual({ status: 'refused', code: 'already_cancelled' });
    expect(ended(await post('/v1/orders/early/returns', { lines: [{ sku: 'early-free', quantity: 1 }] }))).toMatchObject({ status: 'refused', code: 'not_confirmed' });

    const waiting = [cancel, placed].map(({ body }) => cluster.call('GET', `/v1/writes/${String(body['receipt'])}`, { headers: WAIT }));
    await unpark('writes', 'early-sku');
    for (const answer of await Promise.all(waiting)) expect(ended(answer)).toEqual({ status: 'applied', state: 'cancelled', reason: 'cancelled_by_client' });
    expect(stagesOf(await order('early'))).toEqual(['placed', 'undoing', 'cancelled']);
    expect(await Promise.all([account('early-acc'), stock('early-free'), stock('early-sku')])).toMatchObject([{ balance: '10.00', held: '0.00' }, { on_hand: 1, reserved: 0 }, { on_hand: 1, reserved: 0 }]);
  });

  test('after that is too late, and of an order that is not there it is refused', async () => {
    await Promise.all([funded('late-acc', '10.00'), stocked('late-sku', 1)]);
    expect(ended(await place('late', 'late-acc', [line('late-sku')]))).toEqual(confirmed);
    const cancel = await post('/v1/orders/late/cancel', {});
    expect(cancel.body).toMatchObject({ status: 'refused', code: 'too_late', type: 'order.cancel' });
    expect(await order('late', cancel.body['receipt'])).toMatchObject({ state: 'confirmed' });
    expect(ended(await post('/v1/orders/nowhere/cancel', {}))).toEqual({ status: 'refused', code: 'unknown_order' });
  });

  test('that is sent again is answered as the first one was', async () => {
    await Promise.all([funded('again-acc', '10.00'), stocked('again-sku', 1)]);
    await place('again', 'again-acc', [line('again-sku')]);
    const idempotencyKey = randomUUID();
    const first = await post('/v1/orders/again/cancel', {}, { idempotencyKey });
    // Past the gateway's memory, as from another gateway: a record of its own, that repeats the first one.
    const text = JSON.stringify({ type: 'order.cancel', idempotency_key: idempotencyKey, data: { order: 'again' } });
    const [{ receipt }] = await bulk([text]) as [{ receipt: string }];
    expect(receipt).not.toBe(first.body['receipt']);
    const { receipt: _, at, ...told } = first.body;
    expect((await cluster.call('GET', `/v1/writes/${receipt}`, { headers: WAIT })).body).toEqual({ receipt, at, ...told });
    expect(told).toMatchObject({ status: 'refused', code: 'too_late' });
  });
});

describe('a return', () => {
  test('pays back and puts back, in parts, and never more than was bought', async () => {
    await Promise.all([funded('ret-acc', '100.00'), stocked('ret-a', 10), stocked('ret-b', 1)]);
    expect(ended(await place('ret', 'ret-acc', [line('ret-a', 3, '2.00'), line('ret-a', 2, '5.00'), line('ret-b', 1, '1.00')]))).toEqual(confirmed);
    const back = (lines: readonly object[], name?: string) => post('/v1/orders/ret/returns', { ...(name === undefined ? {} : { return: name }), lines });
    expect(ended(await back([{ sku: 'ret-a', quantity: 4 }], 'first'))).toEqual({ status: 'applied', return: 'first', state: 'confirmed' });
    expect(ended(await back([{ sku: 'ret-a', quantity: 2 }], 'second'))).toEqual({ status: 'refused', return: 'second', code: 'exceeds_bought', sku: 'ret-a', left: '1' });
    expect(ended(await back([{ sku: 'ret-c', quantity: 1 }]))).toMatchObject({ status: 'refused', code: 'unknown_line', sku: 'ret-c' });
    expect(ended(await back([{ sku: 'ret-b', quantity: 1 }], 'first'))).toMatchObject({ status: 'refused', code: 'return_exists' });
    const last = await back([{ sku: 'ret-b', quantity: 1 }, { sku: 'ret-a', quantity: 1 }]);
    expect(ended(last)).toMatchObject(confirmed);
    expect(ended(await back([{ sku: 'ret-b', quantity: 1 }]))).toMatchObject({ status: 'refused', code: 'exceeds_bought', left: '0' });
    const { return: made } = last.body['outcome'] as { return: string };
    const whole = { history: [{ state: 'placed', at: expect.any(String) }, { state: 'reserved', at: expect.any(String) }, { state: 'confirmed', at: expect.any(String) }], state: 'confirmed' };
    expect((await order('ret'))['returns']).toEqual([
      { return: 'first', ...whole, refund: '11.00', lines: [{ sku: 'ret-a', quantity: 4 }] },
      { return: made, ...whole, refund: '6.00', lines: [{ sku: 'ret-b', quantity: 1 }, { sku: 'ret-a', quantity: 1 }] },
    ]);
    expect(await Promise.all([account('ret-acc'), stock('ret-a'), stock('ret-b')])).toMatchObject([{ balance: '100.00', held: '0.00' }, { on_hand: 10, reserved: 0 }, { on_hand: 1, reserved: 0 }]);
  });

  test('is shown to who reads with its receipt, and of an order that is not there it is refused', async () => {
    await Promise.all([funded('seen-acc', '9.00'), stocked('seen-sku', 9)]);
    await place('seen', 'seen-acc', [line('seen-sku', 9)]);
    for (let n = 0; n < 9; n += 1) {
      const { body } = await post('/v1/orders/seen/returns', { return: `n${n}`, lines: [{ sku: 'seen-sku', quantity: 1 }] }, NOW);
      expect((await order('seen', body['receipt']))['returns']).toHaveLength(n + 1);
    }
    expect(ended(await post('/v1/orders/nowhere/returns', { lines: [{ sku: 'seen-sku', quantity: 1 }] }))).toEqual({ status: 'refused', code: 'unknown_order' });
  });
});

describe('a transfer', () => {
  const transfer = (name: string, from: string, to: string, amount = '4.00', options?: Parameters<typeof post>[2]): Promise<Answer> => post('/v1/transfers', { transfer: name, from, to, amount, currency: 'GBP' }, options);

  test('moves an amount whole or not at all', async () => {
    await Promise.all([funded('payer', '10.00'), funded('payee', '1.00'), funded('foreign', '1.00', 'EUR')]);
    expect(ended(await transfer('tr-1', 'payer', 'payee'))).toEqual(confirmed);
    expect(ended(await transfer('tr-1', 'payee', 'payer'))).toEqual({ status: 'refused', code: 'transfer_exists' });
    expect(ended(await transfer('tr-2', 'payer', 'foreign'))).toEqual({ status: 'applied', state: 'rejected', reason: 'currency_mismatch', detail: { account: 'foreign', currency: 'EUR' } });
    expect(ended(await transfer('tr-3', 'payer', 'payee', '6.01'))).toMatchObject({ state: 'rejected', reason: 'insufficient_funds', detail: { account: 'payer', balance: '6.00', short: '0.01' } });
    expect(ended(await transfer('tr-4', 'payer', 'nobody'))).toMatchObject({ state: 'rejected', reason: 'unknown_account' });
    expect(await Promise.all([account('payer'), account('payee'), account('foreign')])).toMatchObject([{ balance: '6.00', held: '0.00' }, { balance: '5.00', held: '0.00' }, { balance: '1.00', held: '0.00' }]);
    expect(await get('/v1/transfers/tr-2')).toEqual({
      transfer: 'tr-2', from: 'payer', to: 'foreign', amount: '4.00', currency: 'GBP', state: 'rejected', reason: 'currency_mismatch', detail: { account: 'foreign', currency: 'EUR' },
      history: ['placed', 'undoing', 'rejected'].map((state) => ({ state, at: expect.any(String) })),
    });
    expect(await cluster.call('GET', '/v1/transfers/nothing')).toMatchObject({ status: 404, body: { code: 'not_found' } });
  });

  test('is there for who reads with its receipt', async () => {
    await Promise.all([funded('soon-from', '100.00'), funded('soon-to', '0')]);
    for (let n = 0; n < 10; n += 1) {
      const { body } = await transfer(`soon-${n}`, 'soon-from', 'soon-to', '1.00', NOW);
      expect(await get(`/v1/transfers/soon-${n}?after=${String(body['receipt'])}`)).toMatchObject({ from: 'soon-from', to: 'soon-to', amount: '1.00' });
    }
  });
});

test('an order whose saga cannot read its records says that it is parked, and ends when an operator lets it go', async () => {
  await Promise.all([funded('stuck-acc', '10.00'), stocked('stuck-sku', 1)]);
  await park('sagas', 'stuck');
  const placed = await place('stuck', 'stuck-acc', [line('stuck-sku')]);
  expect(placed).toMatchObject({ status: 200, body: { status: 'parked', reason: expect.stringContaining('the value is not JSON') } });
  expect(await order('stuck', placed.body['receipt'])).toMatchObject({ state: 'placed', history: [] });
  await unpark('sagas', 'stuck');
  expect(ended(await cluster.call('GET', `/v1/writes/${String(placed.body['receipt'])}`, { headers: WAIT }))).toEqual(confirmed);
});

async function bulk(lines: readonly string[]): Promise<readonly { readonly receipt?: string; readonly error?: { readonly code: string } }[]> {
  const { gateway, apiKey } = cluster.local.file;
  const reply = await fetch(`${gateway}/v1/writes`, { method: 'POST', headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/x-ndjson' }, body: lines.join('\n') });
  return (await reply.text()).trimEnd().split('\n').map((text) => JSON.parse(text) as object);
}

describe('what does not fit', () => {
  const good = { order: 'bad', account: 'bad-acc', currency: 'GBP', lines: [line('bad-sku')] };
  const money = { transfer: 'bad', from: 'bad-acc', to: 'bad-to', amount: '1.00', currency: 'GBP' };
  const bad: readonly (readonly [string, string, object, string?])[] = [
    ['no lines', '/v1/orders', { ...good, lines: [] }],
    ['a thousand and one lines', '/v1/orders', { ...good, lines: Array.from({ length: 1_001 }, () => line('bad-sku')) }],
    ['a quantity of 0', '/v1/orders', { ...good, lines: [line('bad-sku', 0)] }],
    ['a negative quantity', '/v1/orders', { ...good, lines: [line('bad-sku', -1)] }],
    ['half a unit', '/v1/orders', { ...good, lines: [line('bad-sku', 0.5)] }],
    ['a quantity above the limit', '/v1/orders', { ...good, lines: [line('bad-sku', 1_000_001)] }],
    ['too many digits', '/v1/orders', { ...good, lines: [line('bad-sku', 1, '1.001')] }],
    ['a negative price', '/v1/orders', { ...good, lines: [line('bad-sku', 1, '-1.00')] }],
    ['a price that is a number', '/v1/orders', { ...good, lines: [{ ...line('bad-sku'), unit_price: 1 }] }],
    ['a total that overflows', '/v1/orders', { ...good, lines: [line('bad-sku', 1_000_000, '92233720368547758.07')] }],
    ['an unknown currency', '/v1/orders', { ...good, currency: 'XXX' }],
    ['no account', '/v1/orders', { ...good, account: undefined }],
    ['a deadline of 0 seconds', '/v1/orders', { ...good, deadline_seconds: 0 }],
    ['a deadline of 8 days', '/v1/orders', { ...good, deadline_seconds: 8 * 86_400 }],
    ['a state of its own', '/v1/orders', { ...good, state: 'confirmed' }],
    ['a sku with a slash', '/v1/orders', { ...good, lines: [line('bad/sku')] }],
    ['a cancel with a body', '/v1/orders/bad/cancel', { by: 'operator' }],
    ['a return without lines', '/v1/orders/bad/returns', { lines: [] }],
    ['a return of 0 units', '/v1/orders/bad/returns', { lines: [{ sku: 'bad-sku', quantity: 0 }] }],
    ['a return with a price', '/v1/orders/bad/returns', { lines: [line('bad-sku')] }],
    ['a return with a bad id', '/v1/orders/bad/returns', { return: 'a/b', lines: [{ sku: 'bad-sku', quantity: 1 }] }],
    ['a return that names its order twice', '/v1/orders/bad/returns', { order: 'bad', lines: [{ sku: 'bad-sku', quantity: 1 }] }],
    ['a transfer to itself', '/v1/transfers', { ...money, to: 'bad-acc' }],
    ['a transfer of nothing', '/v1/transfers', { ...money, amount: '0.00' }],
    ['a transfer of half a penny', '/v1/transfers', { ...money, amount: '0.005' }],
    ['a transfer below an order', '/v1/orders/bad/transfers', money, 'not_found'],
  ];

  test('gets a problem document, and nothing is written', async () => {
    await Promise.all([funded('bad-acc', '10.00'), funded('bad-to', '0'), stocked('bad-sku', 5)]);
    const before = await stored();
    for (const [what, path, body, code = 'invalid_body'] of bad) {
      const answer = await post(path, body);
      expect({ what, type: answer.headers.get('content-type'), ...answer.body }).toMatchObject({ what, type: `urn:millrace:problem:${code}`, code, status: answer.status });
      expect(answer.headers.get('content-type')).toMatch(/^application\/problem\+json/);
    }
    expect(await stored()).toEqual(before);
    expect(await Promise.all([account('bad-acc'), stock('bad-sku')])).toMatchObject([{ balance: '10.00', held: '0.00' }, { on_hand: 5, reserved: 0 }]);
    expect(await cluster.call('GET', '/v1/orders/bad')).toMatchObject({ status: 404, body: { code: 'not_found' } });
  });

  test('and nobody sends what sagas alone say', async () => {
    const before = await stored();
    const saga = `${tenant}/bad/order`;
    const records = [
      ['account.hold', { account: 'bad-acc', saga, attempt: 0, direction: 'in', amount: '5.00', currency: 'GBP' }],
      ['account.confirm', { account: 'bad-acc', saga, attempt: 0 }],
      ['account.release', { account: 'bad-acc', saga, attempt: 0 }],
      ['stock.hold', { sku: 'bad-sku', saga, attempt: 0, direction: 'in', quantity: 5 }],
      ['stock.confirm', { sku: 'bad-sku', saga, attempt: 0 }],
      ['stock.release', { sku: 'bad-sku', saga, attempt: 0 }],
      ...['order.start', 'return.start', 'transfer.start', 'saga.reply', 'saga.timeout', 'saga.cancel', 'saga.retry'].map((type) => [type, { saga: 'order' }] as const),
    ];
    const answers = await bulk(records.map(([type, data], n) => JSON.stringify({ type, idempotency_key: `alone-${n}`, data })));
    expect(answers).toHaveLength(records.length);
    for (const { error } of answers) expect(error).toMatchObject({ code: 'invalid_body', errors: [{ path: 'type', message: expect.stringContaining('order.place') }] });
    // Nor under an idempotency key of theirs.
    const [own] = await bulk([JSON.stringify({ type: 'order.cancel', idempotency_key: '\u0001from/0', data: { order: 'bad' } })]);
    expect(own?.error?.code).toBe('idempotency_key_required');
    expect(await stored()).toEqual(before);
  });
});

test('orders, returns and transfers come by NDJSON too', async () => {
  await Promise.all([funded('nd-acc', '10.00'), funded('nd-to', '0'), stocked('nd-sku', 2)]);
  const sent = (type: string, data: object): string => JSON.stringify({ type, idempotency_key: randomUUID(), data });
  const ends = async (lines: readonly string[]): Promise<readonly unknown[]> => Promise.all((await bulk(lines)).map(async ({ receipt }) => ended(await cluster.call('GET', `/v1/writes/${receipt}`, { headers: WAIT }))));
  expect(await ends([sent('order.place', { order: 'nd', account: 'nd-acc', currency: 'GBP', lines: [line('nd-sku', 2)] }), sent('transfer.place', { transfer: 'nd', from: 'nd-acc', to: 'nd-to', amount: '3.00', currency: 'GBP' })])).toEqual([confirmed, confirmed]);
  expect(await ends([sent('order.return', { order: 'nd', lines: [{ sku: 'nd-sku', quantity: 2 }] }), sent('order.cancel', { order: 'nd' })])).toMatchObject([confirmed, { status: 'refused', code: 'too_late' }]);
  expect(await Promise.all([account('nd-acc'), account('nd-to'), stock('nd-sku')])).toMatchObject([{ balance: '7.00', held: '0.00' }, { balance: '3.00' }, { on_hand: 2, reserved: 0 }]);
});

/** The ends of both streams. */
async function stored(): Promise<readonly bigint[]> {
  const topics = topicNames(cluster.local.file.topicPrefix);
  const offsets = await Promise.all([topics.writes, topics.sagas].map((topic) => topicOffsets({ kafka: cluster.kafka, topic })));
  return offsets.map((each) => each.reduce((sum, { high }) => sum + high, 0n));
}

test('at the end the checker finds every saga ended, money and stock conserved, and nothing kept', async () => {
  expect(await cluster.verify(undefined, { requireEnded: true })).toMatchObject({ clean: true, differences: [], openSagas: [], sumsJudged: true });
});
