/** Ports of the loopback interface. */
import { randomInt } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';

import { must } from '@millrace/write';

const HOST = '127.0.0.1';
const TRIES_MAX = 1_000;

/**
 * Never from the range that outgoing connections get their own ports from: while a server is down, a client's
 * connection could take its port, or a client could connect to itself, and the server could not come back.
 */
function range(): { readonly first: number; readonly last: number } {
  const [first = 32_768, last = 60_999] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').trim().split(/\s+/).map(Number);
  return first > 12_000 ? { first: 10_000, last: first - 1 } : { first: Math.min(last + 1, 61_000), last: 65_535 };
}

/** `count` different ports that nothing listens on now. Another process may still take one before it is used. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const found = new Set<number>();
  const { first, last } = range();
  for (let tries = 0; found.size < count && tries < TRIES_MAX; tries += 1) {
    const port = randomInt(first, last + 1);
    if (!found.has(port) && (await isFree(port))) found.add(port);
  }
  if (found.size < count) throw new Error(`no ${count} free ports between ${first} and ${last}`);
  return [...found];
}

/** The wished port where it is free, another where it is taken or none was wished. */
export async function freePort(wished?: number): Promise<number> {
  if (wished !== undefined && (await isFree(wished))) return wished;
  const [port] = await freePorts(1);
  return must(port, 'one port was asked for');
}

export async function isFree(port: number): Promise<boolean> {
  return await hold(port).then(
    async (held) => {
      await held.release();
      return true;
    },
    () => false,
  );
}

/** Whether something accepts connections on the port. */
export function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: HOST, port });
    const end = (up: boolean): void => {
      socket.destroy();
      resolve(up);
    };
    socket.once('connect', () => end(true));
    socket.once('error', () => end(false));
    socket.setTimeout(1_000, () => end(false));
  });
}

function hold(port: number): Promise<{ readonly port: number; release(): Promise<void> }> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ host: HOST, port, exclusive: true }, () => {
      const address = server.address();
      if (address === null || typeof address === 'string') return reject(new Error('no address'));
      resolve({ port: address.port, release: () => new Promise((done) => server.close(() => done())) });
    });
  });
}
