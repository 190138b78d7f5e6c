import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, describe, expect, test } from '@jest/globals';
import { createLog } from '@millrace/runtime';
import type { Offset, Tenant } from '@millrace/write';
import { createDeadlines } from '../http/deadlines.ts';
import { limits } from '../limits.ts';
import { startBulkStream, type BulkStream, type BulkStreamOptions } from './stream.ts';

const log = createLog({ name: 'test', level: 'fatal' });
const deadlines = createDeadlines(10);
const lines = Array.from({ length: 5 }, (_, n) => `{"type":"stock.receive","idempotency_key":"k-${n}","data":{"sku":"s","quantity":1}}\n`);
let server: Server;

afterEach(() => void server.close());
afterAll(() => deadlines.stop());

interface Answer {
  /** By line: that it was accepted, or the code of its problem. */
  readonly lines: readonly string[];
  /** The body had a proper end. */
  readonly whole: boolean;
}

/** One bulk request whose chunks are lines; Kafka answers a chunk when `kafka` resolves, and at most two wait for it. */
async function start(kafka: Promise<void>): Promise<{ stream: BulkStream; req: IncomingMessage; taken: () => number; send(text: string): void; end(): void; answer: Promise<Answer> }> {
  let taken = 0;
  const options: BulkStreamOptions = {
    limits: { ...limits, bulkChunkLinesMax: 1, bulkChunksInFlightMax: 2 },
    deadlines,
    lanes: {
      async sendMany(records) {
        taken += 1;
        await kafka;
        return [...records].map((_, n) => BigInt(n) as Offset);
      },
    },
    admission: { refusesEarly: () => undefined, refusesProduce: () => undefined },
    slots: 8,
    metrics: { count: () => undefined, refused: () => undefined, acked: () => undefined },
    log,
  };
  const started = Promise.withResolvers<{ stream: BulkStream; req: IncomingMessage }>();
  server = createServer((req, res) => started.resolve({ req, stream: startBulkStream('demo' as Tenant, req, res, options) })).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = request({ port: (server.address() as AddressInfo).port, method: 'POST', agent: false });
  const answer = new Promise<Answer>((resolve) => {
    client.on('response', (res) => {
      let text = '';
      res.on('data', (bytes: Buffer) => (text += bytes.toString('utf8')));
      res.on('error', () => undefined);
      res.on('close', () => resolve({ lines: text.split('\n').filter((line) => line !== '').map(codeOf), whole: res.complete }));
    });
  });
  client.on('error', () => undefined);
  client.flushHeaders();
  return { ...(await started.promise), taken: () => taken, send: (text) => void client.write(text), end: () => void client.end(), answer };
}

function codeOf(line: string): string {
  const { error } = JSON.parse(line) as { readonly error?: { readonly code: string } };
  return error?.code ?? 'accepted';
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

describe('a bulk request that is stopped', () => {
  test('answers the lines that it read and did not send with the reason, and has no clean end', async () => {
    const kafka = Promise.withResolvers<void>();
    const { stream, taken, send, answer } = await start(kafka.promise);
    send(lines.join(''));
    await until(() => taken() === 2);
    stream.stop();
    kafka.resolve();
    expect(await answer).toEqual({ lines: ['accepted', 'accepted', 'draining', 'draining', 'draining'], whole: false });
    await stream.done;
    expect(taken()).toBe(2);
  });

  test('does not take the beginning of a line for a line', async () => {
    const { stream, taken, send, answer } = await start(Promise.resolve());
    send(lines[0]! + lines[1]!.slice(0, 20));
    await until(() => taken() === 1);
    stream.stop();
    expect(await answer).toEqual({ lines: ['accepted'], whole: false });
    await stream.done;
  });

  test('ends cleanly where the whole body was read: every line has its answer', async () => {
    const kafka = Promise.withResolvers<void>();
    const { stream, req, taken, send, end, answer } = await start(kafka.promise);
    send(lines.join('').trimEnd());
    end();
    await until(() => taken() === 2 && req.complete);
    stream.stop();
    kafka.resolve();
    expect(await answer).toEqual({ lines: ['accepted', 'accepted', 'draining', 'draining', 'draining'], whole: true });
    await stream.done;
  });
});
