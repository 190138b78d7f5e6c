/** From a POST to a row, on one cluster: what a user of the API sees, and what the ledger says afterwards. */
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readTopic } from '@millrace/kafka';
import { startTestCluster, until, type TestCluster } from '@millrace/testkit';
import { parseOutcome } from '@millrace/wire';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startTestCluster({ shards: 2, writers: 2 });
}, 180_000);
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

  test('of stock and orders is readable in full', async () => {
    const received = await post('/v1/stock/SKU-1/receipts', { quantity: 7 });
    expect(received.body).toMatchObject({ status: 'applied' });
    expect((await cluster.call('GET', '/v1/stock/SKU-1')).body).toMatchObject({ sku: 'SKU-1' });
    const lines = [{ sku: 'SKU-1', quantity: 2, unit_price: '1.50' }];
    await post('/v1/orders', { order: 'o1', account: 'rich', currency: 'GBP', lines });
    expect((await cluster.call('GET', '/v1/orders/o1')).body).toMatchObject({ order: 'o1', account: 'rich', state: 'placed', total: '3.00', currency: 'GBP', lines });
    await post('/v1/orders/o1/cancel', {});
    expect((await cluster.call('GET', '/v1/orders/o1')).body).toMatchObject({ state: 'cancelled' });
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

describe('the whole cluster', () => {
  test('applies a realistic load exactly once, and every receipt is in the ledger', async () => {
    const report = await cluster.drive({ seed: 'system', writes: 4_000 });
    expect(report).toMatchObject({ ending: { is: 'complete' }, acked: 4_000, failed: 0, unsettled: 0 });
    const verdict = await cluster.verify(report.receipts);
    expect(verdict.differences).toEqual([]);
    expect(verdict).toMatchObject({ clean: true, acked: 4_000 });
    expect(verdict.refused).toBeGreaterThan(0);
  });

  test('publishes one outcome event for every applied or refused write', async () => {
    const verdict = await cluster.verify();
    const wanted = verdict.applied + verdict.refused + verdict.mismatches;
    const events = await until('every event is out', async () => {
      const seen = new Set<string>();
      await readTopic({
        kafka: cluster.kafka,
        topic: 'outcomes',
        signal: AbortSignal.timeout(60_000),
        onRecords(_slot, records) {
          for (const { value } of records) {
            const event = parseOutcome(value!);
            seen.add(`${event.stream}/${event.slot}/${event.offset}/${event.outcome}`);
          }
        },
      });
      return seen.size >= wanted ? seen : undefined;
    });
    expect(events.size).toBe(wanted);
  });
});
