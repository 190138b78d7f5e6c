import { expect, test } from '@jest/globals';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { connectLink, type BrokerLink } from './broker-link.ts';

/** Answers each request with what `answer` makes of it; nothing where that is undefined. */
async function withLink(answer: (request: Buffer) => Buffer | undefined, work: (link: BrokerLink) => Promise<void>, signal?: AbortSignal): Promise<void> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (request) => {
      const bytes = answer(request);
      if (bytes !== undefined) socket.write(bytes);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const link = await connectLink({ host: '127.0.0.1', port: (server.address() as AddressInfo).port }, signal);
  try {
    await work(link);
  } finally {
    link.close();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

const silence = (): undefined => undefined;
const frame = (text: string): Buffer => {
  const bytes = Buffer.alloc(4 + text.length);
  bytes.writeInt32BE(text.length, 0);
  bytes.write(text, 4);
  return bytes;
};

test('an answer is the reply to the request before it', () =>
  withLink(
    (request) => Buffer.from(request),
    async (link) => {
      for (const text of ['first', 'second']) expect(String(await link.request(frame(text), 5_000))).toBe(text);
    },
  ));

test('a request that times out ends the connection, so that no late reply is taken for another', () =>
  withLink(silence, async (link) => {
    await expect(link.request(frame('x'), 10)).rejects.toThrow('did not answer within 10 ms');
    expect(link.isOpen()).toBe(false);
    await expect(link.request(frame('y'), 5_000)).rejects.toThrow('has closed the connection');
  }));

test.each([
  ['nobody asked for', Buffer.concat([frame('first'), frame('second')]), 'nobody asked'],
  ['no reply can be', Buffer.from([255, 255, 255, 255, 0]), 'does not speak Kafka'],
])('an answer that %s ends the connection', (_, bytes, message) =>
  withLink(
    () => bytes,
    async (link) => {
      await expect(link.request(frame('x'), 5_000)).rejects.toThrow(message);
      expect(link.isOpen()).toBe(false);
    },
  ),
);

test('the signal ends a request that has no answer', async () => {
  const stop = new AbortController();
  await withLink(
    silence,
    async (link) => {
      const answer = link.request(frame('x'), 60_000);
      stop.abort();
      await expect(answer).rejects.toMatchObject({ name: 'AbortError' });
      expect(link.isOpen()).toBe(false);
    },
    stop.signal,
  );
});
