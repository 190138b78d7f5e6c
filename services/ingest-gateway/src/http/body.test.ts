import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from '@jest/globals';
import { limits } from '../limits.ts';
import { createInFlight, type InFlight } from '../write/in-flight.ts';
import { sendJson } from './answer.ts';
import { createBodyReader } from './body.ts';
import type { Deadline, Deadlines } from './deadlines.ts';

/** Deadlines that come when the test says so. */
function createClock(): Deadlines & { expireAll(): void } {
  const pending = new Set<Deadline>();
  return {
    add: (deadline) => void pending.add(deadline),
    remove: (deadline) => void pending.delete(deadline),
    size: () => pending.size,
    stop: () => undefined,
    expireAll() {
      for (const deadline of [...pending]) {
        pending.delete(deadline);
        deadline.expire();
      }
    },
  };
}

const HEAD = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n';
const clock = createClock();
const opened: { server?: Server; socket?: Socket } = {};

afterEach(() => {
  clock.expireAll();
  opened.socket?.destroy();
  opened.server?.close();
});

interface Seen {
  readonly texts: string[];
  readonly codes: string[];
}

/** A server that echoes bodies, and what it saw. */
async function serve(inFlight: InFlight): Promise<Seen & { readonly socket: Socket }> {
  const bodies = createBodyReader({ limits, deadlines: clock, inFlight });
  const seen: Seen = { texts: [], codes: [] };
  const answer = (res: ServerResponse, text: string): void => {
    seen.texts.push(text);
    sendJson(res, 202, text);
  };
  opened.server = createServer((req, res) => {
    bodies.read(req, res, (text, refusal) => {
      if (!refusal) answer(res, text);
      else {
        seen.codes.push(refusal.document.code);
        bodies.refuse(req, res, refusal);
      }
    });
  }).listen(0, '127.0.0.1');
  await once(opened.server, 'listening');
  opened.socket = connect((opened.server.address() as AddressInfo).port, '127.0.0.1').setEncoding('latin1');
  return { ...seen, socket: opened.socket };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

describe('a body that does not come in time', () => {
  test('gives its bytes back, is told to whoever asked for it, and stays refused when it completes late', async () => {
    const inFlight = createInFlight(limits);
    const { socket, texts, codes } = await serve(inFlight);
    let answer = '';
    socket.on('data', (text: string) => (answer += text));
    socket.write(`${HEAD}12345`);
    await until(() => inFlight.bytes() === 5);
    clock.expireAll();
    expect(inFlight.bytes()).toBe(0);
    expect(codes).toEqual(['request_timeout']);
    await until(() => answer.includes('request_timeout'));
    socket.write('67890');
    await once(socket, 'close');
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 408']);
    expect(texts).toEqual([]);
    expect(codes).toEqual(['request_timeout']);
    expect(inFlight.bytes()).toBe(0);
    expect(clock.size()).toBe(0);
  });

  test('of any number leaves the room to the next', async () => {
    const inFlight = createInFlight({ ...limits, inFlightBytesMax: 12 });
    for (let n = 0; n < 5; n += 1) {
      const { socket } = await serve(inFlight);
      socket.write(`${HEAD}12345`);
      await until(() => inFlight.bytes() === 5);
      clock.expireAll();
      socket.destroy();
      opened.server?.close();
    }
    const { socket, texts } = await serve(inFlight);
    socket.write(`${HEAD}1234567890`);
    await until(() => texts.length === 1);
    expect(texts).toEqual(['1234567890']);
    expect(inFlight.bytes()).toBe(0);
  });
});
