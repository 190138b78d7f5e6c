/** From a POST to a row, on one cluster: what a user of the API sees, and what the ledger says afterwards. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readTopic } from '@millrace/kafka';
import { startTestCluster, until, type TestCluster } from '@millrace/testkit';
import { parseOutcome } from '@millrace/wire';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster({ shards: 2, writers: 2 });
}, 300_000);
afterAll(() => cluster?.stop());

let next = 0;
const key = (): string => `main-path-${next++}`;
const post = (path: string, body: unknown, options: { idempotencyKey?: string; wait?: number } = {}) =>
  cluster.call('POST', path, { body, idempotencyKey: options.idempotencyKey ?? key(), headers: { prefer: `wait=${options.wait ?? 10}` } });

describe('a write', () => {
  test('is answered 202 with a receipt, and its status follows it from accepted to applied', async () => {
    const answer = await cluster.call('POST', '/v1/accounts', { body: { account: 'first', currency: 'GBP' }, idempotencyKey: key() });
    expect(answer.status).toBe(202);
    expect(answer.body).toMatchObject({ status: 'accepted' });
    const location = `/v1/writes/${String(answer.body['receipt'])}`;
    expect(answer.headers.get('location')).toBe(location);
    const status = await until('the write is applied', async () => {
      const now = await cluster.call('GET', location);
      return now.body['status'] === 'applied' ? now : undefined;
    });
    expect(status.status).toBe(200);
  });

  test('is read back at once by its receipt, never older', async () => {
    await post('/v1/accounts', { account: 'ryw', currency: 'JPY' });
    for (let i = 1; i <= 10; i++) {
      const acked = await cluster.call('POST', '/v1/accounts/ryw/deposits', { body: { amount: '100', currency: 'JPY' }, idempotencyKey: key() });
      const read = await cluster.call('GET', `/v1/accounts/ryw?after=${String(acked.body['receipt'])}`);
      expect(read).toMatchObject({ status: 200, body: { account: 'ryw', currency: 'JPY', balance: String(100 * i), held: '0' } });
    }
  });

  test('waits for its outcome where the client prefers so, and a refusal is an outcome with a code', async () => {
    expect(await post('/v1/accounts', { account: 'poor', currency: 'KWD' })).toMatchObject({ status: 200, body: { status: 'applied' } });
    const refused = await post('/v1/payments', { payment: 'p1', account: 'poor', amount: '0.001', currency: 'KWD' });
    expect(refused).toMatchObject({ status: 200, body: { status: 'refused' } });
    expect(JSON.stringify(refused.body)).toContain('insufficient_funds');
  });

  test('authorized, captured in parts, voided and refunded moves money as told', async () => {
    await post('/v1/accounts', { account: 'rich', currency: 'GBP' });
    await post('/v1/accounts/rich/deposits', { amount: '100.00', currency: 'GBP' });
    await post('/v1/payments', { payment: 'pay', account: 'rich', amount: '60.00', currency: 'GBP' });
    await post('/v1/payments/pay/capture', { account: 'rich', amount: '25.00' });
    await post('/v1/payments/pay/void', { account: 'rich' });
    await post('/v1/payments/pay/refund', { account: 'rich', amount: '5.00' });
    const account = await cluster.call('GET', '/v1/accounts/rich');
    expect(account.body).toMatchObject({ balance: '80.00', held: '0.00' });
    const payment = await cluster.call('GET', '/v1/payments/pay?account=rich');
    expect(payment.body).toMatchObject({ authorized: '60.00', captured: '25.00', refunded: '5.00', currency: 'GBP' });
  });

  test('of stock is readable in full', async () => {
    const received = await post('/v1/stock/SKU-1/receipts', { quantity: 7 });
    expect(received.body).toMatchObject({ status: 'applied' });
    expect((await cluster.call('GET', '/v1/stock/SKU-1')).body).toMatchObject({ sku: 'SKU-1', on_hand: 7, reserved: 0 });
  });

  test('sent twice with one idempotency key has one effect and one outcome', async () => {
    await post('/v1/accounts', { account: 'twice', currency: 'GBP' });
    const once = key();
    const first = await post('/v1/accounts/twice/deposits', { amount: '1.00', currency: 'GBP' }, { idempotencyKey: once });
    const second = await post('/v1/accounts/twice/deposits', { amount: '1.00', currency: 'GBP' }, { idempotencyKey: once });
    expect([first.body['status'], second.body['status']]).toEqual(['applied', 'applied']);
    const other = await post('/v1/accounts/twice/deposits', { amount: '2.00', currency: 'GBP' }, { idempotencyKey: once });
    expect(other.status === 409 || JSON.stringify(other.body).includes('idempotency_mismatch')).toBe(true);
    expect((await cluster.call('GET', '/v1/accounts/twice')).body).toMatchObject({ balance: '1.00' });
  });
});

describe('an order across shards', () => {
  const read = async (path: string): Promise<Record<string, unknown>> => (await cluster.call('GET', path)).body;
  const order = (id: string, lines: readonly object[]) => post('/v1/orders', { order: id, account: 'buyer', currency: 'GBP', lines }, { wait: 30 });
  const line = (sku: string, quantity: number) => ({ sku, quantity, unit_price: '1.50' });

  test('charges its account and takes its stock, wherever they are', async () => {
    await post('/v1/accounts', { account: 'buyer', currency: 'GBP' });
    await post('/v1/accounts/buyer/deposits', { amount: '20.00', currency: 'GBP' });
    await post('/v1/stock/cup/receipts', { quantity: 7 });
    await post('/v1/stock/pot/receipts', { quantity: 1 });
    expect((await order('o1', [line('cup', 2), line('pot', 1)])).body).toMatchObject({ status: 'applied', outcome: { state: 'confirmed' } });
    expect(await read('/v1/orders/o1')).toMatchObject({ order: 'o1', account: 'buyer', state: 'confirmed', total: '4.50', currency: 'GBP' });
    expect(await read('/v1/accounts/buyer')).toMatchObject({ balance: '15.50', held: '0.00' });
    expect(await read('/v1/stock/cup')).toMatchObject({ on_hand: 5, reserved: 0 });
  });

  test('that cannot have all is undone, tells why, and leaves nothing held', async () => {
    const refused = await order('o2', [line('cup', 2), line('pot', 1)]);
    expect(refused.body).toMatchObject({ outcome: { state: 'rejected', reason: 'insufficient_stock', detail: { sku: 'pot', on_hand: '0', short: '1' } } });
    expect(await read('/v1/accounts/buyer')).toMatchObject({ balance: '15.50', held: '0.00' });
    expect(await read('/v1/stock/cup')).toMatchObject({ on_hand: 5, reserved: 0 });
  });

  test('once confirmed is returned in parts, never more than was bought, and no longer cancelled', async () => {
    expect((await post('/v1/orders/o1/cancel', {})).body).toMatchObject({ status: 'refused', code: 'too_late' });
    const part = { lines: [{ sku: 'cup', quantity: 1 }] };
    expect((await post('/v1/orders/o1/returns', part)).body).toMatchObject({ outcome: { state: 'confirmed' } });
    expect((await post('/v1/orders/o1/returns', { lines: [{ sku: 'cup', quantity: 2 }] })).body).toMatchObject({ status: 'refused', code: 'exceeds_bought' });
    expect(await read('/v1/accounts/buyer')).toMatchObject({ balance: '17.00', held: '0.00' });
    expect(await read('/v1/stock/cup')).toMatchObject({ on_hand: 6 });
  });

  test('has a sibling, the transfer, which moves money from account to account or not at all', async () => {
    await post('/v1/accounts', { account: 'friend', currency: 'GBP' });
    const transfer = (id: string, amount: string) => post('/v1/transfers', { transfer: id, from: 'buyer', to: 'friend', amount, currency: 'GBP' });
    expect((await transfer('t1', '7.00')).body).toMatchObject({ outcome: { state: 'confirmed' } });
    expect((await transfer('t2', '10.01')).body).toMatchObject({ outcome: { state: 'rejected', reason: 'insufficient_funds' } });
    expect(await read('/v1/accounts/buyer')).toMatchObject({ balance: '10.00', held: '0.00' });
    expect(await read('/v1/accounts/friend')).toMatchObject({ balance: '7.00' });
  });
});

/** True of the facts of a transition by which a saga ends. */
function isEnd(detail: unknown): detail is { readonly saga: string } {
  const { saga, state } = (detail ?? {}) as { saga?: unknown; state?: unknown };
  return saga !== undefined && ['confirmed', 'rejected', 'cancelled'].includes(String(state));
}

describe('the whole cluster', () => {
  test('applies a realistic load exactly once, and every receipt is in the ledger', async () => {
    const report = await cluster.drive({ seed: 'system', writes: 4_000 });
    expect(report).toMatchObject({ ending: { is: 'complete' }, acked: 4_000, failed: 0, unsettled: 0, unexpectedEnds: {} });
    expect(report.endsSeen).toBeGreaterThan(0);
    const verdict = await cluster.verify(report.receipts, { requireEnded: true });
    expect(verdict.differences).toEqual([]);
    expect(verdict).toMatchObject({ clean: true, acked: 4_000 });
    expect(verdict.refused).toBeGreaterThan(0);
    for (const { open } of [verdict.orders, verdict.returns, verdict.transfers]) expect(open).toBe(0);
    for (const end of ['confirmed', 'rejected', 'cancelled'] as const) expect(verdict.orders[end]).toBeGreaterThan(0);
    expect(verdict).toMatchObject({ heldForOpen: 0, messagesUnderWay: 0, sumsJudged: true });
  });

  test('publishes one outcome event for every applied or refused write, and tells how every saga ended', async () => {
    const verdict = await cluster.verify();
    const wanted = verdict.applied + verdict.refused + verdict.mismatches;
    const sagas = [verdict.orders, verdict.returns, verdict.transfers].reduce((sum, { confirmed, rejected, cancelled }) => sum + confirmed + rejected + cancelled, 0);
    const events = await until('every event is out', async () => {
      const seen = new Set<string>();
      const ends = new Set<string>();
      await readTopic({
        kafka: cluster.kafka,
        topic: 'outcomes',
        signal: AbortSignal.timeout(60_000),
        onRecords(_slot, records) {
          for (const { value } of records) {
            const event = parseOutcome(value!);
            if (event.stream === 'writes') seen.add(`${event.slot}/${event.offset}/${event.outcome}`);
            else if (isEnd(event.detail)) ends.add(`${event.key}/${event.detail.saga}`);
          }
        },
      });
      return seen.size >= wanted && ends.size >= sagas ? { seen, ends } : undefined;
    });
    expect(events.seen.size).toBe(wanted);
    expect(events.ends.size).toBe(sagas);
  });
});
