/** Writes through the gateway, one by one and many in one body, good and bad, on real Kafka and Postgres. */
import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import { readTopic, topicOffsets } from '@millrace/kafka';
import { slotOf } from '@millrace/ring';
import { decodeReceipt, digestOf, routingKey, type Offset } from '@millrace/write';
import { startGateway } from '../../services/ingest-gateway/src/gateway.ts';
import { limits } from '../../services/ingest-gateway/src/limits.ts';
import { apply, ask, config, createLife, DEMO, gateway, kafka, log, openAccount, post, receiptIn, shardOf, SLOTS, until, useGateway, type Reply } from './running-gateway.ts';

useGateway();

async function bulk(lines: readonly string[]): Promise<{ readonly receipt?: string; readonly error?: { readonly code: string } }[]> {
  const reply = await ask('/v1/writes', { method: 'POST', body: lines.join('\n'), headers: { 'content-type': 'application/x-ndjson' } });
  expect(reply.status).toBe(200);
  return reply.text.trimEnd().split('\n').map((line) => JSON.parse(line) as { receipt?: string });
}

/** What a raw connection answers until the server closes it. */
function raw(text: string | Buffer, { end = false, afterAnswer = '' } = {}): Promise<string> {
  const { hostname, port } = new URL(gateway.url);
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(Number(port), hostname, () => {
      socket.write(text);
      if (end) socket.end();
    });
    socket.once('data', () => void (afterAnswer && socket.write(afterAnswer)));
    socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}

/** The value of a metric, by its name and labels as they are exposed; 0 where there is none yet. */
async function metric(series: string, of = gateway): Promise<number> {
  const metrics = await (await fetch(`${of.opsUrl}/metrics`)).text();
  const line = metrics.split('\n').find((one) => one.startsWith(`${series} `));
  return Number(line?.slice(series.length + 1) ?? 0);
}

async function highOf(slot: number): Promise<Offset> {
  const offsets = await topicOffsets({ kafka, topic: 'writes' });
  return offsets.find((one) => one.slot === slot)!.high as Offset;
}

async function stored(): Promise<bigint> {
  return (await topicOffsets({ kafka, topic: 'writes' })).reduce((sum, { high }) => sum + high, 0n);
}

describe('a single write', () => {
  /** Of a second gateway, where a test starts one. */
  const another = createLife();
  afterAll(() => another.drain());

  test('is answered with a receipt of the place where Kafka holds it', async () => {
    const account = `acc-${randomUUID()}`;
    const reply = await openAccount(account, { idempotencyKey: 'first' });
    expect(reply.status).toBe(202);
    expect(reply.json).toEqual({ receipt: expect.any(String), status: 'accepted' });
    expect(reply.headers['location']).toBe(`/v1/writes/${String(reply.json['receipt'])}`);
    const receipt = receiptIn(reply);
    expect(receipt.slot).toBe(slotOf(routingKey(DEMO, account), SLOTS));
    const found: string[] = [];
    await readTopic({
      kafka,
      topic: 'writes',
      signal: AbortSignal.timeout(30_000),
      onRecords: (slot, records) => {
        for (const { offset, key, value } of records) if (slot === receipt.slot && offset === receipt.offset) found.push(`${key} ${value}`);
      },
    });
    expect(found).toEqual([`demo/${account} {"type":"account.open","idempotency_key":"first","data":{"account":"${account}","currency":"GBP"}}`]);
  });

  test('a retry gets the same receipt and stores nothing', async () => {
    const account = `acc-${randomUUID()}`;
    const first = await openAccount(account, { idempotencyKey: 'same' });
    const before = await stored();
    const again = await post('/v1/accounts', ` { "currency" : "GBP", "account" : "${account}" } `, { idempotencyKey: 'same' });
    expect(again).toMatchObject({ status: 202, json: first.json });
    expect(await stored()).toBe(before);
  });

  test('another body under its key is a mismatch once the shard has the first; until then the shard decides', async () => {
    const account = `acc-${randomUUID()}`;
    const misuse = (): Promise<Reply> => post('/v1/accounts', { account, currency: 'USD' }, { idempotencyKey: 'misused' });
    const first = await openAccount(account, { idempotencyKey: 'misused' });
    const early = await misuse();
    expect(early.status).toBe(202);
    expect(receiptIn(early).offset).toBeGreaterThan(receiptIn(first).offset);
    // The first stays the one that is remembered.
    expect(await openAccount(account, { idempotencyKey: 'misused' })).toMatchObject({ status: 202, json: first.json });
    await apply(receiptIn(first), { key: routingKey(DEMO, account) });
    const before = await stored();
    expect(await misuse()).toMatchObject({ status: 409, json: { code: 'idempotency_mismatch', receipt: first.json['receipt'] } });
    expect(await stored()).toBe(before);
  });

  test('a retry of the first write is accepted where the gateway remembers only the misuse of its key', async () => {
    const account = `acc-${randomUUID()}`;
    const key = routingKey(DEMO, account);
    const [first] = await bulk([JSON.stringify({ type: 'account.open', idempotency_key: 'by-bulk', data: { account, currency: 'GBP' } })]);
    const misuse = receiptIn(await post('/v1/accounts', { account, currency: 'USD' }, { idempotencyKey: 'by-bulk' }));
    const receipt = decodeReceipt(DEMO, first?.receipt ?? '')!;
    await apply(receipt, { key });
    await apply(misuse, { key, digest: null, outcome: 'refused', detail: { code: 'idempotency_mismatch', first: String(receipt.offset) } });
    const retry = await openAccount(account, { idempotencyKey: 'by-bulk' });
    expect(retry.status).toBe(202);
    const { slot, offset } = receiptIn(retry);
    await (await shardOf(slot)).query({ text: `update position set next_offset = $2 where stream = 'writes' and slot = $1`, values: [slot, offset + 1n] });
    expect((await ask(`/v1/writes/${String(retry.json['receipt'])}`)).json).toMatchObject({ status: 'applied' });
    // The misuse still finds its own receipt, whose outcome says what it is.
    const again = await post('/v1/accounts', { account, currency: 'USD' }, { idempotencyKey: 'by-bulk' });
    expect((await ask(`/v1/writes/${String(again.json['receipt'])}`)).json).toMatchObject({ status: 'refused', code: 'idempotency_mismatch' });
  });

  test('the same key of another account or tenant is another write', async () => {
    const account = `acc-${randomUUID()}`;
    const replies = [
      await openAccount(account, { idempotencyKey: 'shared' }),
      await openAccount(`${account}-2`, { idempotencyKey: 'shared' }),
      await openAccount(account, { idempotencyKey: 'shared', key: 'other-key' }),
    ];
    expect(new Set(replies.map(({ json }) => json['receipt'])).size).toBe(3);
  });

  test('waits for its outcome where the client prefers that', async () => {
    const account = `acc-${randomUUID()}`;
    const key = routingKey(DEMO, account);
    const slot = slotOf(key, SLOTS);
    const offset = await highOf(slot);
    const waiting = openAccount(account, { idempotencyKey: 'waits', headers: { prefer: 'wait=20' } });
    await until(async () => (await highOf(slot)) > offset);
    await apply({ slot, offset, digest: digestOf(key, 'waits') }, { key, outcome: 'refused', detail: { code: 'account_exists' } });
    const reply = await waiting;
    expect(reply).toMatchObject({ status: 200, json: { status: 'refused', code: 'account_exists', outcome: { code: 'account_exists' } } });
    expect(reply.headers['preference-applied']).toBe('wait');
  });

  test('is accepted where the outcome does not come in the time that the client gives', async () => {
    expect(await openAccount(`acc-${randomUUID()}`, { headers: { prefer: 'wait=1' } })).toMatchObject({ status: 202, json: { status: 'accepted' } });
  });

  test('is accepted at once where as many wait as may, a status is what is known, and who waits keeps waiting', async () => {
    const of = await startGateway({ config, log, life: another, limits: { ...limits, waitersMax: 3, inFlightReadsMax: 3 } });
    const prefer = { headers: { prefer: 'wait=30' } };
    const ids = Array.from({ length: 200 }, () => `acc-${randomUUID()}`);
    // Each in a slot of its own, because the test applies them in another order than they came.
    const [account = '', ...accounts] = [...new Map(ids.map((id) => [slotOf(routingKey(DEMO, id), SLOTS), id])).values()].slice(0, 4);
    const waiting = accounts.map((account) => openAccount(account, { of, idempotencyKey: account, ...prefer }));
    await until(async () => (await metric('millrace_gateway_waiters', of)) === 3);
    const refused = await openAccount(account, { of, ...prefer });
    const status = `/v1/writes/${String(refused.json['receipt'])}`;
    expect(refused).toMatchObject({ status: 202, json: { status: 'accepted' } });
    expect(await ask(status, { of, ...prefer })).toMatchObject({ status: 200, json: { status: 'accepted' } });
    expect(await ask(`/v1/accounts/${account}?after=${String(refused.json['receipt'])}`, { of, ...prefer })).toMatchObject({ status: 429, json: { code: 'too_many_requests' } });
    await apply(receiptIn(refused), { key: routingKey(DEMO, account) });
    expect(await ask(status, { of, ...prefer })).toMatchObject({ status: 200, json: { status: 'applied' } });
    for (const each of accounts) {
      const receipt = receiptIn(await openAccount(each, { idempotencyKey: each }));
      await apply(receipt, { key: routingKey(DEMO, each) });
    }
    for (const reply of await Promise.all(waiting)) expect(reply).toMatchObject({ status: 200, json: { status: 'applied' } });
    expect(await metric('millrace_gateway_waiters', of)).toBe(0);
  });

  test('a client that expects 100-continue gets it before it sends, or the refusal', async () => {
    const continued = await new Promise<boolean>((resolve, reject) => {
      const req = request(`${gateway.url}/v1/accounts`, {
        method: 'POST',
        agent: false,
        headers: { authorization: 'Bearer demo-key', 'idempotency-key': randomUUID(), 'content-type': 'application/json', expect: '100-continue' },
      });
      let told = false;
      req.on('continue', () => {
        told = true;
        req.end(JSON.stringify({ account: 'acc-continue', currency: 'GBP' }));
      });
      req.on('response', (res) => resolve(told && res.statusCode === 202));
      req.on('error', reject);
      req.flushHeaders();
    });
    expect(continued).toBe(true);
    const refused = await raw('POST /v1/accounts HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n');
    expect(refused).toMatch(/^HTTP\/1\.1 401 /);
  });
});

describe('bad input', () => {
  const deposit = '/v1/accounts/acc-bad/deposits';
  const good = { amount: '1.00', currency: 'GBP' };
  const nested = (depth: number): string => `{"amount":${'['.repeat(depth)}${']'.repeat(depth)}}`;
  const bad: readonly (readonly [string, () => Promise<Reply>, number, string])[] = [
    ['malformed JSON', () => post(deposit, '{"amount": "1.00"'), 400, 'malformed_json'],
    ['no JSON at all', () => post(deposit, 'amount=1'), 400, 'malformed_json'],
    ['an array', () => post(deposit, '[]'), 400, 'invalid_body'],
    ['null', () => post(deposit, 'null'), 400, 'invalid_body'],
    ['no body', () => post(deposit, ''), 400, 'invalid_body'],
    ['an amount that is a number', () => post(deposit, { ...good, amount: 1 }), 400, 'invalid_body'],
    ['a negative amount', () => post(deposit, { ...good, amount: '-1.00' }), 400, 'invalid_body'],
    ['a zero amount', () => post(deposit, { ...good, amount: '0.00' }), 400, 'invalid_body'],
    ['an amount with an exponent', () => post(deposit, { ...good, amount: '1e3' }), 400, 'invalid_body'],
    ['an amount over the range', () => post(deposit, { ...good, amount: '92233720368547758.08' }), 400, 'invalid_body'],
    ['an amount of a thousand digits', () => post(deposit, { ...good, amount: '9'.repeat(1000) }), 400, 'invalid_body'],
    ['too many digits for the currency', () => post(deposit, { ...good, amount: '1.001' }), 400, 'invalid_body'],
    ['digits in yen', () => post(deposit, { amount: '1.0', currency: 'JPY' }), 400, 'invalid_body'],
    ['an unknown currency', () => post(deposit, { ...good, currency: 'XXX' }), 400, 'invalid_body'],
    ['a currency in lower case', () => post(deposit, { ...good, currency: 'gbp' }), 400, 'invalid_body'],
    ['a surplus field', () => post(deposit, { ...good, surplus: true }), 400, 'invalid_body'],
    ['__proto__', () => post(deposit, '{"amount":"1.00","currency":"GBP","__proto__":{"admin":true}}'), 400, 'invalid_body'],
    ['__proto__ in disguise', () => post(deposit, '{"amount":"1.00","currency":"GBP","\\u005f_proto__":{"admin":true}}'), 400, 'invalid_body'],
    ['constructor', () => post(deposit, '{"amount":"1.00","currency":"GBP","constructor":{"prototype":{}}}'), 400, 'invalid_body'],
    ['NUL in a string', () => post(deposit, { ...good, reference: 'a\0b' }), 400, 'invalid_body'],
    ['a lone surrogate', () => post(deposit, '{"amount":"1.00","currency":"GBP","reference":"\\ud800"}'), 400, 'invalid_body'],
    ['bad UTF-8', () => post(deposit, Buffer.from([...Buffer.from('{"amount":"'), 0xc3, 0x28, ...Buffer.from('"}')])), 400, 'malformed_json'],
    ['deep nesting', () => post(deposit, nested(100_000)), 400, 'invalid_body'],
    ['deep nesting without end', () => post(deposit, '['.repeat(500_000)), 400, 'invalid_body'],
    ['a body over the limit', () => post(deposit, `{"reference":"${'x'.repeat(limits.bodyBytesMax)}"}`), 413, 'body_too_large'],
    ['a chunked body over the limit', () => post(deposit, 'x'.repeat(limits.bodyBytesMax + 1), { headers: { 'transfer-encoding': 'chunked' } }), 413, 'body_too_large'],
    ['an id with a slash', () => post('/v1/accounts/a%2Fb/deposits', good), 400, 'invalid_body'],
    ['an id with a NUL', () => post('/v1/accounts/a%00/deposits', good), 400, 'invalid_body'],
    ['an id that cannot be decoded', () => post('/v1/accounts/%zz/deposits', good), 400, 'invalid_parameter'],
    ['an id that is too long', () => post(`/v1/accounts/${'a'.repeat(65)}/deposits`, good), 400, 'invalid_body'],
    ['an order without lines', () => post('/v1/orders', { order: 'o', account: 'a', currency: 'GBP', lines: [] }), 400, 'invalid_body'],
    ['a quantity with a fraction', () => post('/v1/stock/sku/receipts', { quantity: 1.5 }), 400, 'invalid_body'],
    ['a huge quantity', () => post('/v1/stock/sku/receipts', '{"quantity":1e999}'), 400, 'invalid_body'],
    ['no idempotency key', () => post(deposit, good, { headers: { 'idempotency-key': undefined } }), 400, 'idempotency_key_required'],
    ['a long idempotency key', () => post(deposit, good, { idempotencyKey: 'k'.repeat(256) }), 400, 'idempotency_key_required'],
    ['an idempotency key with a blank', () => post(deposit, good, { idempotencyKey: 'a b' }), 400, 'idempotency_key_required'],
    ['no API key', () => post(deposit, good, { headers: { authorization: undefined } }), 401, 'unauthorized'],
    ['a wrong API key', () => post(deposit, good, { key: 'nobody' }), 401, 'unauthorized'],
    ['another content type', () => post(deposit, good, { headers: { 'content-type': 'text/plain' } }), 415, 'unsupported_media_type'],
    ['another charset', () => post(deposit, good, { headers: { 'content-type': 'application/json; charset=utf-16' } }), 415, 'unsupported_media_type'],
    ['a coded body', () => post(deposit, good, { headers: { 'content-encoding': 'gzip' } }), 415, 'unsupported_media_type'],
    ['JSON where NDJSON is due', () => post('/v1/writes', good), 415, 'unsupported_media_type'],
    ['a path that is not there', () => post('/v1/nothing', good), 404, 'not_found'],
    ['a method that is not there', () => ask('/v1/accounts', { method: 'DELETE' }), 405, 'method_not_allowed'],
    ['a receipt that is none', () => ask('/v1/writes/abc'), 400, 'invalid_receipt'],
    ['an `after` that is none', () => ask('/v1/accounts/a?after=abc'), 400, 'invalid_receipt'],
    ['two `after`', () => ask('/v1/accounts/a?after=a&after=b'), 400, 'invalid_parameter'],
    ['a return without lines', () => post('/v1/orders/o/returns', { lines: [] }), 400, 'invalid_body'],
    ['a transfer to itself', () => post('/v1/transfers', { transfer: 't', from: 'a', to: 'a', amount: '1.00', currency: 'GBP' }), 400, 'invalid_body'],
    ['a transfer that is deleted', () => ask('/v1/transfers/t', { method: 'DELETE' }), 405, 'method_not_allowed'],
    ['a transfer that is not there', () => ask('/v1/transfers/nothing'), 404, 'not_found'],
    ['a payment without its account', () => ask('/v1/payments/p'), 400, 'invalid_parameter'],
    ['a read with a bad id', () => ask('/v1/accounts/a%2Fb'), 400, 'invalid_parameter'],
    ['a read that cannot be decoded', () => ask('/v1/accounts/%zz'), 400, 'invalid_parameter'],
    ['an account that is not there', () => ask('/v1/accounts/nobody'), 404, 'not_found'],
  ];

  test.each(bad)('%s', async (_case, send, status, code) => {
    const before = await stored();
    const reply = await send();
    expect({ status: reply.status, json: reply.json }).toMatchObject({ status, json: { type: `urn:millrace:problem:${code}`, code, status, title: expect.any(String), action: expect.any(String) } });
    expect(reply.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(await stored()).toBe(before);
    expect((await ask('/openapi.json')).status).toBe(200);
  });

  const head = `POST ${deposit} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer demo-key\r\nIdempotency-Key: raw\r\nContent-Type: application/json\r\n`;
  test.each([
    ['no HTTP', 'hello\r\n\r\n', 400, 'malformed_request'],
    ['headers over the limit', `GET / HTTP/1.1\r\nX: ${'x'.repeat(limits.headerBytesMax)}\r\n\r\n`, 431, 'headers_too_large'],
    ['two lengths', `${head}Content-Length: 5\r\nContent-Length: 6\r\n\r\n{}`, 400, 'malformed_request'],
    ['a length and chunks', `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400, 'malformed_request'],
  ])('%s gets a document and the connection ends', async (_case, text, status, code) => {
    const before = await stored();
    const answer = await raw(text);
    expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(answer).toContain(`"urn:millrace:problem:${code}"`);
    expect(await stored()).toBe(before);
  });

  test('half a body stores nothing', async () => {
    const before = await stored();
    await raw(`${head}Content-Length: 50\r\n\r\n{"amount":"1.00",`, { end: true });
    await raw(`${head}Transfer-Encoding: chunked\r\n\r\n5\r\n{"amo`, { end: true });
    expect(await stored()).toBe(before);
  });

  test('a client that sends its headers or its body too slowly is told so and put off, also where the body completes late', async () => {
    const before = await stored();
    const body = JSON.stringify(good);
    const refused = await refusedTimeouts();
    const answers = await Promise.all([
      raw('POST /v1/accounts HTTP/1.1\r\nHost: x\r\n'),
      raw(`${head}Content-Length: 50\r\n\r\n{"amount":`),
      raw(`${head}Content-Length: ${body.length}\r\n\r\n${body.slice(0, 10)}`, { afterAnswer: body.slice(10) }),
    ]);
    for (const answer of answers) {
      expect(answer).toMatch(/^HTTP\/1\.1 408 /);
      expect(answer).toContain('"urn:millrace:problem:request_timeout"');
      expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1);
    }
    expect(await stored()).toBe(before);
    expect(await metric('millrace_gateway_in_flight_bytes')).toBe(0);
    expect((await refusedTimeouts()) - refused).toBe(2);
    expect((await openAccount(`acc-${randomUUID()}`)).status).toBe(202);
  });

  const refusedTimeouts = (): Promise<number> => metric('millrace_gateway_requests_total{route="POST /v1/accounts/{account}/deposits",outcome="request_timeout"}');
});

describe('many writes in one body', () => {
  const line = (n: number, quantity: unknown = 1): string => JSON.stringify({ type: 'stock.receive', idempotency_key: `bulk-${n}-${run}`, data: { sku: `sku-${n}`, quantity } });
  const run = randomUUID();

  test('are answered line by line in their order, and a bad line fails no other', async () => {
    const before = await stored();
    const lines = Array.from({ length: 3_000 }, (_, n) => (n % 100 === 50 ? line(n, 'many') : line(n)));
    const answers = await bulk(lines);
    expect(answers).toHaveLength(3_000);
    answers.forEach((answer, n) => {
      if (n % 100 === 50) expect(answer.error?.code).toBe('invalid_body');
      else expect(decodeReceipt(DEMO, answer.receipt ?? '')?.slot).toBe(slotOf(`demo/sku-${n}`, SLOTS));
    });
    expect((await stored()) - before).toBe(2_970n);
  });

  test('what is wrong with a line is said in its answer', async () => {
    const before = await stored();
    const answers = await bulk([
      'no json',
      '',
      '[]',
      '{"type":"nothing","idempotency_key":"k","data":{}}',
      '{"type":"stock.receive","data":{"sku":"s","quantity":1}}',
      '{"type":"stock.receive","idempotency_key":"k","data":{"sku":"s","quantity":1},"more":1}',
      '{"type":"stock.receive","idempotency_key":"k","data":{"sku":"s","quantity":1,"__proto__":{}}}',
      '{"type":"parked.release","idempotency_key":"k","data":{"action":"skip"}}',
      '{"type":"account.confirm","idempotency_key":"k","data":{"account":"a","saga":"demo/o/order","attempt":0}}',
      '{"type":"saga.cancel","idempotency_key":"k","data":{"saga":"order","by":"operator"}}',
      `{"type":"stock.receive","idempotency_key":"k","data":${'['.repeat(1000)}}`,
      `{"x":"${'x'.repeat(limits.lineBytesMax)}"}`,
    ]);
    expect(answers.map(({ error }) => error?.code)).toEqual([
      'malformed_json', 'invalid_body', 'invalid_body', 'idempotency_key_required', 'invalid_body', 'invalid_body', 'invalid_body', 'invalid_body', 'invalid_body', 'invalid_body', 'body_too_large',
    ]);
    expect(await stored()).toBe(before);
  });

  test('a client that does not read its answers is not read from', async () => {
    const before = await answeredBadLines();
    const { hostname, port } = new URL(gateway.url);
    const socket = connect(Number(port), hostname);
    deaf.push(socket);
    socket.pause();
    socket.write('POST /v1/writes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer demo-key\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n');
    const linesSent = 1_000_000;
    const lines = 'x\n'.repeat(linesSent);
    socket.write(`${lines.length.toString(16)}\r\n${lines}\r\n`);
    let answered = 0n;
    // Between two looks a write goes to Kafka and back: a request that is still read from would have gone on.
    await until(async () => {
      const last = answered;
      expect((await openAccount(`acc-${randomUUID()}`)).status).toBe(202);
      answered = (await answeredBadLines()) - before;
      return answered > 0n && answered === last;
    });
    // What the sockets hold is answered, some megabytes of it; the answers to all would be a hundred times the lines.
    expect(answered).toBeLessThan(BigInt(linesSent) / 4n);
  });

  const deaf: Socket[] = [];
  afterEach(() => deaf.splice(0).forEach((socket) => socket.destroy()));

  async function answeredBadLines(): Promise<bigint> {
    const metrics = await (await fetch(`${gateway.opsUrl}/metrics`)).text();
    return BigInt(/requests_total\{route="POST \/v1\/writes",outcome="malformed_json"\} (\d+)/.exec(metrics)?.[1] ?? 0);
  }
});
