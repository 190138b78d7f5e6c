import { afterEach, describe, expect, test } from '@jest/globals';
import { type Offset, type Slot, type Tenant, digestOf, encodeReceipt } from '@millrace/write';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createGenerator } from '../generator/generator.ts';
import type { Work } from '../write.ts';
import { type DriveOptions, drive } from './drive.ts';

const tenant = 'demo' as Tenant;
let server: Server | undefined;

afterEach(async () => {
  server?.closeAllConnections();
  await new Promise<void>((resolve) => (server ? server.close(() => resolve()) : resolve()));
  server = undefined;
});

/** What the fake does with the n-th arrival of an idempotency key; a bulk line's answer where it is in a body. */
type Fate = 'ack' | 'unavailable' | 'busy' | 'mismatch' | 'invalid' | 'cut' | 'hang';
type Plan = (idempotencyKey: string, arrival: number) => Fate;

interface Fake {
  readonly url: string;
  readonly keys: string[];
  readonly bulkBodies: string[][];
  readonly requests: { path: string; body: unknown }[];
  /** The orders that were asked for. */
  readonly asked: string[];
}

/** The state of an order when it is asked for the n-th time; undefined: there is none yet. */
type Ends = (order: string, asked: number) => string | undefined;

/** A gateway that answers by a plan, and keeps the order in which it acked. */
async function fakeGateway(plan: Plan = () => 'ack', ends: Ends = () => 'confirmed'): Promise<Fake> {
  const asked: string[] = [];
  const keys: string[] = [];
  const bulkBodies: string[][] = [];
  const requests: { path: string; body: unknown }[] = [];
  const arrivals = new Map<string, number>();
  const decide = (key: string): Fate => {
    const arrival = (arrivals.get(key) ?? 0) + 1;
    arrivals.set(key, arrival);
    const fate = plan(key, arrival);
    if (fate === 'ack') keys.push(key);
    return fate;
  };
  const receive = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const text = await textOf(request);
    const path = request.url ?? '';
    if (request.method === 'GET') {
      const order = path.replace('/v1/orders/', '');
      asked.push(order);
      const state = ends(order, asked.filter((each) => each === order).length);
      return void response.writeHead(state ? 200 : 404).end(JSON.stringify({ order, state }));
    }
    if (path !== '/v1/writes') {
      requests.push({ path, body: JSON.parse(text) });
      answerSingle(response, decide(String(request.headers['idempotency-key'])), keys.length);
      return;
    }
    const lines = text.trim().split('\n').map((line) => JSON.parse(line) as { idempotency_key: string });
    bulkBodies.push(lines.map((line) => line.idempotency_key));
    for (const [index, line] of lines.entries()) {
      const fate = decide(line.idempotency_key);
      if (fate === 'busy' && index === 0) return answerSingle(response, fate, 0);
      if (fate === 'cut') return void response.write('{"rece', () => response.destroy());
      response.write(`${JSON.stringify(lineAnswer(fate, keys.length))}\n`);
    }
    response.end();
  };
  server = createServer((request, response) => void receive(request, response));
  await new Promise<void>((resolve) => server!.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, keys, bulkBodies, requests, asked };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

const problems = {
  unavailable: { status: 503, code: 'produce_unknown', type: 'urn:millrace:problem:produce_unknown' },
  mismatch: { status: 409, code: 'idempotency_mismatch', type: 'urn:millrace:problem:idempotency_mismatch' },
  busy: { status: 429, code: 'too_many_requests', type: 'urn:millrace:problem:too_many_requests' },
  invalid: { status: 400, code: 'invalid_body', type: 'urn:millrace:problem:invalid_body' },
};

function answerSingle(response: ServerResponse, fate: Fate, n: number): void {
  if (fate === 'hang') return;
  if (fate === 'cut') return void response.destroy();
  if (fate === 'ack') return void response.writeHead(202).end(JSON.stringify(lineAnswer(fate, n)));
  response.writeHead(problems[fate].status, { 'retry-after': fate === 'busy' ? '1' : '0' }).end(JSON.stringify(problems[fate]));
}

function lineAnswer(fate: Fate, n: number): object {
  if (fate !== 'ack') return { error: problems[fate as keyof typeof problems] };
  const offset = BigInt(n) as Offset;
  return { receipt: encodeReceipt(tenant, { slot: 1 as Slot, offset, digest: digestOf('demo/a', String(n)) }), status: 'accepted' };
}

const deposits = (count: number, account: (n: number) => string): Work[] =>
  Array.from({ length: count }, (_, n) => ({
    kind: 'write',
    body: { type: 'account.deposit', data: { account: account(n), amount: '1', currency: 'GBP' } },
    idempotencyKey: `${account(n)}-${n}`,
  }));

function run(url: string, requests: DriveOptions['requests'], options: Partial<DriveOptions> = {}) {
  return drive({ gatewayUrl: url, apiKey: 'key', tenant, requests, connections: 8, progressEveryMs: 10, ...options });
}

const inOrderOfKey = (keys: readonly string[], key: string): number[] =>
  keys.filter((each) => each.startsWith(`${key}-`)).map((each) => Number(each.slice(key.length + 1)));

describe('the driver', () => {
  test('sends a whole stream by single POSTs and bulk bodies, and keeps a receipt of each write', async () => {
    const gateway = await fakeGateway();
    const works = [...createGenerator({ seed: 'drive', writes: 3_000 })];
    const report = await run(gateway.url, works, { bulkConnections: 2, bulkLines: 50, sameKeyPerBodyMax: 10 });
    expect(report.ending).toEqual({ is: 'complete' });
    expect(report).toMatchObject({ acked: 3_000, failed: 0, retried: 0, unsettled: 0, sent: works.length });
    expect(report.receipts.size).toBe(3_000);
    expect(report.otherReceipts.size).toBe(works.length - 3_000);
    expect(report.repeatsAcked + report.mismatchesAcked).toBe(works.length - 3_000);
    const offsets = new Set([...report.receipts, ...report.otherReceipts].map(({ offset }) => offset));
    expect(offsets.size).toBe(works.length);
    expect(report.ackedInBulk).toBeGreaterThan(0);
    expect(report.latency.count + report.bulkLatency.count).toBe(gateway.requests.length + gateway.bulkBodies.length);
    expect(gateway.bulkBodies.every((lines) => lines.length <= 50)).toBe(true);
  });

  test('keeps the order of each key, though connections break and the gateway is unavailable', async () => {
    const fates: Fate[] = ['unavailable', 'cut', 'ack'];
    const gateway = await fakeGateway((key, arrival) => fates[Math.max(arrival - 1, Number(key.split('-')[1]) % 3)] ?? 'ack');
    const works = deposits(120, (n) => `acc${n % 5}`);
    const report = await run(gateway.url, works, { bulkConnections: 2, bulkLines: 10 });
    expect(report).toMatchObject({ acked: 120, failed: 0 });
    expect(report.retried).toBeGreaterThan(0);
    expect(Object.keys(report.retryReasons)).toContain('produce_unknown');
    for (const account of ['acc0', 'acc1', 'acc2', 'acc3', 'acc4']) {
      const order = inOrderOfKey(gateway.keys, account);
      expect(order).toEqual([...order].sort((a, b) => a - b));
      expect(order).toHaveLength(24);
    }
  });

  test('puts runs of a hot key into bulk bodies in order, and sends what a broken answer left out again', async () => {
    const gateway = await fakeGateway((key, arrival) => (key === 'hot-30' && arrival === 1 ? 'cut' : 'ack'));
    const report = await run(gateway.url, deposits(200, () => 'hot'), { connections: 0, bulkConnections: 3, bulkLines: 40, sameKeyPerBodyMax: 40 });
    expect(report).toMatchObject({ acked: 200, failed: 0, retryReasons: { line_unanswered: expect.any(Number) } });
    expect(gateway.bulkBodies.length).toBeLessThan(20);
    const firsts = [...new Set(inOrderOfKey(gateway.keys, 'hot'))];
    expect(firsts).toEqual(Array.from({ length: 200 }, (_, n) => n));
  });

  test('sends an order only after the receipts of its stock are acked', async () => {
    const gateway = await fakeGateway((key, arrival) => (key === 'stock' && arrival < 4 ? 'unavailable' : 'ack'));
    const works: Work[] = [
      { kind: 'write', body: { type: 'stock.receive', data: { sku: 's', quantity: 1 } }, idempotencyKey: 'stock' },
      { kind: 'write', body: { type: 'order.cancel', data: { order: 'o' } }, idempotencyKey: 'order', after: ['s'] },
    ];
    await run(gateway.url, works);
    expect(gateway.keys).toEqual(['stock', 'order']);
  });

  test('sends a return only once its order has ended, holds up nothing else, and counts ends that cannot be', async () => {
    const keysAtEnd: string[][] = [];
    const gateway = await fakeGateway(
      () => 'ack',
      (order, asked) => {
        if (asked < 3 || gateway.keys.length < 52) return asked === 1 ? undefined : 'placed';
        keysAtEnd.push([...gateway.keys]);
        return order === 'sold' ? 'confirmed' : 'rejected';
      },
    );
    const returnOf = (order: string): Work => ({
      kind: 'write',
      body: { type: 'order.return', data: { order, lines: [{ sku: 's', quantity: 1 }] } },
      idempotencyKey: `return-${order}`,
      onceEnded: { order, as: ['confirmed'] },
    });
    const cancel = (order: string): Work => ({ kind: 'write', body: { type: 'order.cancel', data: { order } }, idempotencyKey: `cancel-${order}` });
    const works = [cancel('sold'), returnOf('sold'), cancel('unsold'), returnOf('unsold'), ...deposits(50, (n) => `acc${n % 3}`)];
    const report = await run(gateway.url, works, { bulkConnections: 1, bulkLines: 5, sameKeyPerBodyMax: 5 });
    expect(report).toMatchObject({ ending: { is: 'complete' }, acked: 54, failed: 0, endsSeen: 2, unexpectedEnds: { rejected: 1 } });
    expect(keysAtEnd).toHaveLength(2);
    expect(keysAtEnd[0]!.some((key) => key.startsWith('return-'))).toBe(false);
    expect(gateway.keys.indexOf('return-unsold')).toBeGreaterThan(50);
  });

  test('ends as stalled, telling why, where an order never ends', async () => {
    const gateway = await fakeGateway(() => 'ack', () => 'placed');
    const work: Work = { kind: 'write', body: { type: 'order.cancel', data: { order: 'o' } }, idempotencyKey: 'k', onceEnded: { order: 'o', as: ['confirmed'] } };
    const report = await run(gateway.url, [work], { stallMs: 200 });
    expect(report).toMatchObject({ ending: { is: 'stalled', reason: 'order_open' }, acked: 0, unsettled: 1 });
  });

  test('counts refusals of the gateway by problem, and the conflicts that were asked for apart', async () => {
    const gateway = await fakeGateway((key) => (key.startsWith('bad') ? 'invalid' : key.startsWith('ok') ? 'ack' : 'mismatch'));
    const misused = deposits(4, (n) => `twice${n}`).map((work, n): Work => (n < 3 ? { ...work, kind: 'mismatch' } : work));
    const works = [...deposits(5, () => 'bad'), ...deposits(7, () => 'ok'), ...misused];
    const report = await run(gateway.url, works, { bulkConnections: 1, bulkLines: 4 });
    expect(report).toMatchObject({ acked: 7, failed: 6, conflicts: 3, problems: { invalid_body: 5, idempotency_mismatch: 1 } });
  });

  test.each([
    ['a single POST', { connections: 1 }],
    ['a bulk body', { connections: 0, bulkConnections: 1 }],
  ])('sends %s again no sooner than Retry-After says', async (_name, options) => {
    const atMs: number[] = [];
    const gateway = await fakeGateway((key, arrival) => {
      if (key === 'acc-0') atMs.push(performance.now());
      return key === 'acc-0' && arrival === 1 ? 'busy' : 'ack';
    });
    const report = await run(gateway.url, deposits(1, () => 'acc'), options);
    expect(report).toMatchObject({ acked: 1, retried: 1, retryReasons: { too_many_requests: 1 } });
    expect(atMs[1]! - atMs[0]!).toBeGreaterThan(990);
  });

  test('stops at the signal and reports what was acked until then', async () => {
    const stop = new AbortController();
    const gateway = await fakeGateway((key) => {
      if (key === 'acc-50') stop.abort();
      return 'ack';
    });
    const report = await run(gateway.url, deposits(5_000, () => 'acc'), { signal: stop.signal });
    expect(report.ending).toEqual({ is: 'aborted' });
    expect(report.acked).toBeGreaterThanOrEqual(40);
    expect(report.acked).toBeLessThan(5_000);
    expect(report.receipts.size).toBe(report.acked);
  });

  test('ends as stalled where nothing is answered', async () => {
    const gateway = await fakeGateway(() => 'hang');
    const report = await run(gateway.url, deposits(3, (n) => `acc${n}`), { stallMs: 50 });
    expect(report.ending).toEqual({ is: 'stalled', reason: 'nothing was answered' });
    expect(report).toMatchObject({ acked: 0, unsettled: 3 });
  });

  test('ends as stalled, naming the error, where nobody listens', async () => {
    const { url } = await fakeGateway();
    await new Promise<void>((resolve) => server!.close(() => resolve()));
    server = undefined;
    const report = await run(url, deposits(3, (n) => `acc${n}`), { stallMs: 300 });
    expect(report.ending).toEqual({ is: 'stalled', reason: 'ECONNREFUSED' });
  });

  test('fails with the error of its source', async () => {
    const gateway = await fakeGateway();
    async function* broken(): AsyncGenerator<Work> {
      yield* deposits(3, () => 'acc');
      throw new Error('line 4: unreadable');
    }
    await expect(run(gateway.url, broken())).rejects.toThrow('line 4: unreadable');
  });

  test('holds no more of the source than its window', async () => {
    let read = 0;
    function* source(): Generator<Work> {
      for (const work of deposits(30_000, () => 'acc')) {
        read++;
        yield work;
      }
    }
    const stop = new AbortController();
    const gateway = await fakeGateway((key) => {
      if (key === 'acc-20') stop.abort();
      return 'ack';
    });
    await run(gateway.url, source(), { signal: stop.signal });
    expect(read).toBeLessThan(8_192 + 512);
  });

  test('sends at a rate and tells the progress', async () => {
    const gateway = await fakeGateway();
    const acked: number[] = [];
    const report = await run(gateway.url, deposits(60, (n) => `acc${n}`), { ratePerSecond: 400, onProgress: (each) => acked.push(each.acked) });
    expect(report.elapsedMs).toBeGreaterThanOrEqual(59 / 0.4);
    expect(acked).toEqual([...acked].sort((a, b) => a - b));
    expect(acked.at(-1)).toBe(60);
  });

  test('counts any success as an ack where receipts are not asked for', async () => {
    const gateway = await fakeGateway();
    const report = await run(gateway.url, deposits(20, (n) => `acc${n}`), { receipts: false });
    expect(report).toMatchObject({ acked: 20 });
    expect(report.receipts.size).toBe(0);
  });
});

describe('the requests', () => {
  test('are those of the API, with ids escaped in the path', async () => {
    const gateway = await fakeGateway();
    const bodies: Work['body'][] = [
      { type: 'account.open', data: { account: 'a', currency: 'GBP' } },
      { type: 'account.deposit', data: { account: 'a%20b?', amount: '1', currency: 'GBP' } },
      { type: 'payment.authorize', data: { payment: 'p', account: 'a', amount: '1', currency: 'GBP' } },
      { type: 'payment.capture', data: { payment: 'q', account: 'a', amount: '1', currency: 'GBP', order: 'o' } },
      { type: 'payment.capture', data: { payment: 'p', account: 'a' } },
      { type: 'payment.void', data: { payment: 'p', account: 'a' } },
      { type: 'payment.refund', data: { payment: 'p', account: 'a', amount: '0.5' } },
      { type: 'stock.receive', data: { sku: 's', quantity: 3 } },
      { type: 'order.place', data: { order: 'o', account: 'a', currency: 'GBP', lines: [{ sku: 's', quantity: 1, unit_price: '2' }] } },
      { type: 'order.cancel', data: { order: 'o' } },
      { type: 'order.return', data: { order: 'o', return: 'r', lines: [{ sku: 's', quantity: 1 }] } },
      { type: 'transfer.place', data: { transfer: 't', from: 'a', to: 'b', amount: '1', currency: 'GBP' } },
    ];
    await run(gateway.url, bodies.map((body, n): Work => ({ kind: 'write', body, idempotencyKey: `k${n}` })), { connections: 1 });
    const byPath = (a: object, b: object): number => JSON.stringify(a).localeCompare(JSON.stringify(b));
    expect(gateway.requests.sort(byPath)).toEqual(
      [
        { path: '/v1/accounts', body: { account: 'a', currency: 'GBP' } },
        { path: '/v1/accounts/a%2520b%3F/deposits', body: { amount: '1', currency: 'GBP' } },
        { path: '/v1/payments', body: { payment: 'p', account: 'a', amount: '1', currency: 'GBP' } },
        { path: '/v1/payments', body: { payment: 'q', account: 'a', amount: '1', currency: 'GBP', order: 'o', capture: true } },
        { path: '/v1/payments/p/capture', body: { account: 'a' } },
        { path: '/v1/payments/p/void', body: { account: 'a' } },
        { path: '/v1/payments/p/refund', body: { account: 'a', amount: '0.5' } },
        { path: '/v1/stock/s/receipts', body: { quantity: 3 } },
        { path: '/v1/orders', body: { order: 'o', account: 'a', currency: 'GBP', lines: [{ sku: 's', quantity: 1, unit_price: '2' }] } },
        { path: '/v1/orders/o/cancel', body: {} },
        { path: '/v1/orders/o/returns', body: { return: 'r', lines: [{ sku: 's', quantity: 1 }] } },
        { path: '/v1/transfers', body: { transfer: 't', from: 'a', to: 'b', amount: '1', currency: 'GBP' } },
      ].sort(byPath),
    );
  });
});
