/** The gateway's reads, what it serves beside, and how it gets through an outage of Kafka and a drain. */
import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import { slotOf } from '@millrace/ring';
import { encodeReceipt, routingKey, type Digest, type Offset, type ShardId, type Tenant } from '@millrace/write';
import { apply, ask, broker, DEMO, gateway, life, openAccount, receiptIn, shardOf, shards, SLOTS, until, useGateway } from './running-gateway.ts';

useGateway();

const accountRow = (slot: number, account: string, balance: bigint): { text: string; values: readonly unknown[] } => ({
  text: `insert into account (slot, key, currency, balance, held) values ($1, $2, 'GBP', $3, 5) on conflict (slot, key) do update set balance = excluded.balance`,
  values: [slot, routingKey(DEMO, account), balance],
});

describe('reads', () => {
  test('with a receipt wait for its write', async () => {
    const account = `acc-${randomUUID()}`;
    const opened = await openAccount(account);
    const receipt = receiptIn(opened);
    const reading = ask(`/v1/accounts/${account}?after=${String(opened.json['receipt'])}`, { headers: { prefer: 'wait=20' } });
    await apply(receipt, { key: routingKey(DEMO, account), also: [accountRow(receipt.slot, account, 1_250n)] });
    expect(await reading).toMatchObject({ status: 200, json: { account, currency: 'GBP', balance: '12.50', held: '0.05' } });
    const status = await ask(`/v1/writes/${String(opened.json['receipt'])}`);
    expect(status.json).toEqual({ receipt: opened.json['receipt'], status: 'applied', type: 'account.open', at: '2023-11-14T22:13:20.000Z', outcome: {} });
  });

  test('say that the write is not applied yet rather than answer with older data', async () => {
    const account = `acc-${randomUUID()}`;
    const opened = await openAccount(account);
    const slot = receiptIn(opened).slot;
    await (await shardOf(slot)).query(accountRow(slot, account, 1n));
    const reply = await ask(`/v1/accounts/${account}?after=${String(opened.json['receipt'])}`, { headers: { prefer: 'wait=1' } });
    expect(reply).toMatchObject({ status: 503, json: { code: 'not_yet_applied' } });
    expect(reply.headers['retry-after']).toBe('1');
    expect((await ask(`/v1/accounts/${account}`)).json).toMatchObject({ balance: '0.01' });
    expect((await ask(`/v1/writes/${String(opened.json['receipt'])}`)).json).toMatchObject({ status: 'accepted' });
  });

  test('tell a refusal with its code, a parked write with its reason, a repetition with the first outcome', async () => {
    const account = `acc-${randomUUID()}`;
    const key = routingKey(DEMO, account);
    const first = receiptIn(await openAccount(account));
    await apply(first, { key, outcome: 'refused', detail: { code: 'account_exists' } });
    const refused = { status: 'refused', code: 'account_exists', outcome: { code: 'account_exists' } };
    expect((await ask(`/v1/writes/${encodeReceipt(DEMO, first)}`)).json).toMatchObject(refused);
    const shard = await shardOf(first.slot);
    const next = (first.offset + 1n) as Offset;
    await shard.query({ text: `insert into parked (slot, stream, "offset", key, at_ms, reason) values ($1, 'writes', $2, $3, 0, 'bad')`, values: [first.slot, next, key] });
    await shard.query({ text: `update position set next_offset = $2 where stream = 'writes' and slot = $1`, values: [first.slot, next + 2n] });
    const parked = encodeReceipt(DEMO, { ...first, offset: next, digest: 'a'.repeat(32) as Digest });
    expect((await ask(`/v1/writes/${parked}`)).json).toMatchObject({ status: 'parked', reason: 'bad' });
    const repeated = encodeReceipt(DEMO, { ...first, offset: (next + 1n) as Offset });
    expect((await ask(`/v1/writes/${repeated}`)).json).toMatchObject(refused);
    const unknown = encodeReceipt(DEMO, { ...first, digest: 'b'.repeat(32) as Digest });
    expect(await ask(`/v1/writes/${unknown}`)).toMatchObject({ status: 404, json: { code: 'not_found' } });
  });

  test('another tenant sees neither receipts nor ids nor outcomes', async () => {
    const account = `acc-${randomUUID()}`;
    const opened = await openAccount(account);
    const receipt = receiptIn(opened);
    await apply(receipt, { key: routingKey(DEMO, account), also: [accountRow(receipt.slot, account, 1n)] });
    const other = { key: 'other-key' };
    expect(await ask(`/v1/writes/${String(opened.json['receipt'])}`, other)).toMatchObject({ status: 400, json: { code: 'invalid_receipt' } });
    expect(await ask(`/v1/accounts/${account}?after=${String(opened.json['receipt'])}`, other)).toMatchObject({ status: 400, json: { code: 'invalid_receipt' } });
    expect(await ask(`/v1/accounts/${account}`, other)).toMatchObject({ status: 404 });
    // The tag of a receipt is no secret: a forged one finds the row, and the row is not the forger's.
    const forged = encodeReceipt('other' as Tenant, receipt);
    expect(await ask(`/v1/writes/${forged}`, other)).toMatchObject({ status: 404, json: { code: 'not_found' } });
  });

  test('follow a slot that moved, before the topology tells', async () => {
    const account = `acc-${randomUUID()}`;
    const slot = slotOf(routingKey(DEMO, account), SLOTS);
    const from = await shardOf(slot);
    const to = shards.get((from.name === 'a' ? 'b' : 'a') as ShardId);
    await from.query({ text: `update slot set state = 'MOVED', moved_to = $2 where slot = $1`, values: [slot, to.name] });
    await to.query({ text: `insert into slot (slot, state, epoch) values ($1, 'ACTIVE', 2)`, values: [slot] });
    await to.query({ text: `insert into position (stream, slot) values ('writes', $1)`, values: [slot] });
    await to.query(accountRow(slot, account, 77n));
    expect((await ask(`/v1/accounts/${account}`)).json).toMatchObject({ balance: '0.77' });
    const opened = await openAccount(account);
    const reading = ask(`/v1/accounts/${account}?after=${String(opened.json['receipt'])}`, { headers: { prefer: 'wait=20' } });
    await apply(receiptIn(opened), { key: routingKey(DEMO, account), also: [accountRow(slot, account, 78n)] });
    expect((await reading).json).toMatchObject({ balance: '0.78' });
  });

  test('a slot that no shard holds is unavailable, not absent', async () => {
    const account = `acc-${randomUUID()}`;
    const slot = slotOf(routingKey(DEMO, account), SLOTS);
    const shard = await shardOf(slot);
    await shard.query({ text: `update slot set state = 'INCOMING' where slot = $1`, values: [slot] });
    expect(await ask(`/v1/accounts/${account}`)).toMatchObject({ status: 503, json: { code: 'shard_unavailable' } });
    await shard.query({ text: `update slot set state = 'ACTIVE' where slot = $1`, values: [slot] });
    expect(await ask(`/v1/accounts/${account}`)).toMatchObject({ status: 404 });
  });
});

describe('what is served beside', () => {
  test('the docs page and its files come from here', async () => {
    const page = await ask('/docs/', { headers: { authorization: undefined } });
    expect(page.text).toContain('swagger-ui-bundle.js');
    expect(page.text).not.toMatch(/https?:\/\//);
    for (const file of ['swagger-ui-bundle.js', 'swagger-ui.css', 'start.js']) expect((await ask(`/docs/${file}`)).status).toBe(200);
  });

  test('metrics count requests by route and outcome, never by id', async () => {
    await openAccount('acc-counted');
    const metrics = await (await fetch(`${gateway.opsUrl}/metrics`)).text();
    expect(metrics).toMatch(/millrace_gateway_requests_total\{route="POST \/v1\/accounts",outcome="accepted"\} \d+/);
    expect(metrics).not.toContain('acc-counted');
  });
});

describe('without Kafka', () => {
  test('writes are refused fast and say when to come again; it recovers by itself', async () => {
    await broker.kill('SIGKILL');
    const first = await openAccount('acc-outage-0', { idempotencyKey: 'outage-0' });
    expect(first.status).toBe(503);
    expect(['produce_unknown', 'kafka_unavailable']).toContain(first.json['code']);
    const refused = await openAccount('acc-outage-1');
    expect(refused).toMatchObject({ status: 503, json: { code: 'kafka_unavailable' } });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    expect((await fetch(`${gateway.opsUrl}/readyz`)).status).toBe(503);
    await broker.start();
    let reply = await openAccount('acc-outage-0', { idempotencyKey: 'outage-0' });
    while (reply.status !== 202) {
      expect(reply.status).toBe(503);
      await new Promise((resolve) => setTimeout(resolve, Number(reply.headers['retry-after']) * 1000));
      reply = await openAccount('acc-outage-0', { idempotencyKey: 'outage-0' });
    }
    expect((await fetch(`${gateway.opsUrl}/readyz`)).status).toBe(200);
  });
});

describe('a drain', () => {
  test('finishes what is in flight and takes nothing more', async () => {
    // A bulk request whose body goes on: what it did not read has no answer, so its answer has no end.
    const line = JSON.stringify({ type: 'stock.receive', idempotency_key: 'drained', data: { sku: 'sku-drain', quantity: 1 } });
    let answered = '';
    const socket = connect(Number(new URL(gateway.url).port), '127.0.0.1');
    socket.on('data', (chunk: Buffer) => (answered += chunk.toString('latin1')));
    const cut = new Promise((resolve) => socket.on('close', resolve));
    socket.write('POST /v1/writes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer demo-key\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n');
    socket.write(`${(line.length + 1).toString(16)}\r\n${line}\n\r\n`);
    await until(async () => answered.includes('"receipt"'));
    const inFlight = Array.from({ length: 50 }, (_, n) => openAccount(`acc-drain-${n}`));
    await Promise.race(inFlight);
    const drained = life.drain();
    for (const reply of await Promise.all(inFlight)) {
      expect([202, 503]).toContain(reply.status);
      if (reply.status === 503) expect(reply).toMatchObject({ json: { code: 'draining' }, headers: { connection: 'close' } });
    }
    await cut;
    expect(answered).not.toMatch(/\r\n0\r\n/);
    await drained;
    await expect(openAccount('acc-late')).rejects.toThrow();
  });
});
