/**
 * One TCP connection to a broker with one request in flight.
 *
 * A request that times out destroys the connection: a late reply can then never be taken for the next one, and a
 * broker that still holds the bytes meets a closed connection.
 */
import { assert } from '@millrace/write';
import { connect, type Socket } from 'node:net';
import { CONNECT_TIMEOUT_MS } from './limits.ts';
import type { BrokerAddress } from './types.ts';

export interface BrokerLink {
  /** A buffer to write the next request into; valid until the next call. */
  scratch(bytes: number): Buffer;
  /** Sends a framed request and resolves with the reply without its length. Rejects with the fate unknown. */
  request(frame: Buffer, timeoutMs: number): Promise<Buffer>;
  isOpen(): boolean;
  close(): void;
}

interface Pending {
  readonly resolve: (reply: Buffer) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

const SCRATCH_BYTES_MIN = 64 * 1024;
const REPLY_BYTES_MAX = 128 * 1024 * 1024;
const LENGTH_BYTES = 4;

/** The signal destroys the connection whenever it aborts. @throws Error where the broker cannot be reached within 3 s. */
export async function connectLink(address: BrokerAddress, signal?: AbortSignal): Promise<BrokerLink> {
  return createLink(await connectSocket(address, signal), `${address.host}:${address.port}`);
}

function connectSocket({ host, port }: BrokerAddress, signal: AbortSignal | undefined): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port, noDelay: true, keepAlive: true });
    // Node's own option keeps a listener on the signal for each socket that there ever was.
    const onAbort = (): void => void socket.destroy(signal?.reason as Error);
    if (signal?.aborted === true) onAbort();
    signal?.addEventListener('abort', onAbort, { once: true });
    socket.once('close', () => signal?.removeEventListener('abort', onAbort));
    const timer = setTimeout(() => {
      socket.destroy(new Error(`no connection to ${host}:${port} within ${CONNECT_TIMEOUT_MS} ms`));
    }, CONNECT_TIMEOUT_MS);
    socket.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    socket.once('connect', () => {
      clearTimeout(timer);
      resolve(socket);
    });
  });
}

function createLink(socket: Socket, name: string): BrokerLink {
  let scratch = Buffer.allocUnsafeSlow(SCRATCH_BYTES_MIN);
  let pending: Pending | undefined;
  let chunks: Buffer[] = [];
  let received = 0;
  let wanted = LENGTH_BYTES;

  const settle = (): Pending | undefined => {
    const settled = pending;
    pending = undefined;
    if (settled !== undefined) clearTimeout(settled.timer);
    return settled;
  };
  const fail = (error: Error): void => {
    socket.destroy();
    settle()?.reject(error);
  };

  socket.on('data', (chunk) => {
    chunks.push(chunk);
    received += chunk.length;
    if (received < wanted) return;
    const all = chunks.length === 1 ? chunk : Buffer.concat(chunks, received);
    wanted = LENGTH_BYTES + all.readInt32BE(0);
    chunks = [all];
    if (wanted < 2 * LENGTH_BYTES || wanted > REPLY_BYTES_MAX) fail(new Error(`${name} does not speak Kafka`));
    else if (received > wanted || pending === undefined) fail(new Error(`${name} answers what nobody asked`));
    else if (received === wanted) {
      chunks = [];
      received = 0;
      wanted = LENGTH_BYTES;
      settle()?.resolve(all.subarray(LENGTH_BYTES));
    }
  });
  socket.on('error', fail);
  socket.on('close', () => {
    fail(new Error(`${name} closed the connection`));
  });

  return {
    scratch: (bytes) => {
      if (scratch.length < bytes) scratch = Buffer.allocUnsafeSlow(2 ** Math.ceil(Math.log2(bytes)));
      return scratch;
    },
    request: (frame, timeoutMs) => {
      assert(pending === undefined, 'one request in flight per connection');
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          fail(new Error(`${name} did not answer within ${timeoutMs} ms`));
        }, timeoutMs);
        pending = { resolve, reject, timer };
        if (socket.writable) socket.write(frame);
        else fail(new Error(`${name} has closed the connection`));
      });
    },
    isOpen: () => socket.writable,
    close: () => {
      fail(new Error(`the connection to ${name} is closed by us`));
    },
  };
}
