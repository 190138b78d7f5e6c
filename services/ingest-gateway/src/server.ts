/** The HTTP server: its limits and what it says to connections that break them. */
import { createServer, STATUS_CODES, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { assert } from '@millrace/write';
import { Refusal, refusalBody, refusalHeaders } from './http/answer.ts';
import type { Limits } from './limits.ts';

export type RequestListener = (req: IncomingMessage, res: ServerResponse) => void;

export function createHttpServer(limits: Limits, listener: RequestListener): Server {
  const server = createServer(
    {
      maxHeaderSize: limits.headerBytesMax,
      headersTimeout: limits.headersTimeoutMs,
      // Bodies have deadlines of their own kind: see http/body.ts and bulk/stream.ts.
      requestTimeout: 0,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: limits.connectionsCheckMs,
      noDelay: true,
    },
    listener,
  );
  server.maxConnections = limits.connectionsMax;
  // Whoever reads the body says "continue", after the headers were found good.
  server.on('checkContinue', listener);
  server.on('clientError', answerBrokenRequest);
  return server;
}

/** Opens the port and resolves with the URL. @throws the system's error where that cannot be. */
export function listen(server: Server, { host, port }: { readonly host: string; readonly port: number }): Promise<string> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      const address = server.address();
      assert(typeof address === 'object' && address !== null, 'a server that listens on TCP has an address');
      resolve(`http://${host.includes(':') ? `[${host}]` : host}:${address.port}`);
    });
  });
}

/** Open connections. */
export function connectionsOf(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve(count)));
  });
}

/** What is not HTTP, too slow or too large in its headers gets a document too, if nothing was answered yet. */
function answerBrokenRequest(error: Error & { readonly code?: string }, socket: Duplex): void {
  if (!socket.writable || error.code === 'ECONNRESET' || answerBegan(socket)) {
    socket.destroy();
    return;
  }
  const refusal = refusalOf(error.code);
  const { status } = refusal.document;
  const headers = refusalHeaders(refusal, true);
  const lines = headers.flatMap((header, i) => (i % 2 === 0 ? [`${header}: ${headers[i + 1]}`] : []));
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('\r\n')}\r\n\r\n${refusalBody(refusal)}`);
  // What the client still sends is not read; the connection goes once it has read, or soon.
  setTimeout(() => socket.destroy(), BROKEN_LINGER_MS).unref();
}

const BROKEN_LINGER_MS = 500;

function refusalOf(code: string | undefined): Refusal {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new Refusal('request_timeout');
  if (code === 'HPE_HEADER_OVERFLOW') return new Refusal('headers_too_large');
  return new Refusal('malformed_request', code?.startsWith('HPE_') ? code : undefined);
}

/** True where a response is under way on the connection: Node keeps it there. */
function answerBegan(socket: Duplex): boolean {
  const response: unknown = Reflect.get(socket, '_httpMessage');
  return typeof response === 'object' && response !== null && 'headersSent' in response && response.headersSent === true;
}

