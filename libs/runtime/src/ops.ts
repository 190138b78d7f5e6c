/** The operators' port: `/healthz`, `/readyz` and `/metrics`, apart from the service's own traffic. */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { toJson } from '@millrace/wire';
import type { Log } from './log.ts';
import type { Registry } from './metrics.ts';

export interface Check {
  readonly name: string;
  readonly ok: boolean;
  readonly detail?: string;
}

export interface Health {
  /** All ok, or the process should be started again. Means progress, not merely "up". */
  readonly live: readonly Check[];
  /** All ok, or no traffic should come here. */
  readonly ready: readonly Check[];
}

export interface OpsServer {
  readonly port: number;
  readonly url: string;
  close(): Promise<void>;
}

export interface OpsOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly registry: Registry;
  readonly health: () => Health;
  readonly log: Log;
}

const CONNECTIONS_MAX = 64;
const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
const REQUESTS_PER_SOCKET_MAX = 1_000;
const HEADER_BYTES_MAX = 8_192;

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly allow?: string;
}

/** Listens. @throws the system's error where the port cannot be taken. */
export async function startOpsServer(options: OpsOptions): Promise<OpsServer> {
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: HEADERS_TIMEOUT_MS,
    },
    (request, response) => void respond(options, request, response),
  );
  server.maxConnections = CONNECTIONS_MAX;
  server.maxRequestsPerSocket = REQUESTS_PER_SOCKET_MAX;
  const { port } = await listen(server, options);
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  return { port, url: `http://${host}:${port}`, close: () => close(server) };
}

async function respond(options: OpsOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const answer = await answerTo(options, request).catch((error: unknown) => {
    options.log.error({ error, url: request.url }, 'the ops port could not answer');
    return text(500, 'internal error; see the log\n');
  });
  response.writeHead(answer.status, {
    'content-type': answer.type,
    'content-length': Buffer.byteLength(answer.body),
    'cache-control': 'no-store',
    ...(answer.allow === undefined ? {} : { allow: answer.allow }),
  });
  response.end(request.method === 'HEAD' ? undefined : answer.body);
}

async function answerTo({ registry, health }: OpsOptions, request: IncomingMessage): Promise<Answer> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { ...text(405, 'only GET and HEAD\n'), allow: 'GET, HEAD' };
  }
  switch ((request.url ?? '/').split('?', 1)[0]) {
    case '/healthz':
      return checked(health().live);
    case '/readyz':
      return checked(health().ready);
    case '/metrics':
      return { status: 200, type: registry.contentType, body: await registry.metrics() };
    default:
      return text(404, 'there are /healthz, /readyz and /metrics\n');
  }
}

function checked(checks: readonly Check[]): Answer {
  const ok = checks.every((check) => check.ok);
  const body = `${toJson({ status: ok ? 'ok' : 'failing', checks })}\n`;
  return { status: ok ? 200 : 503, type: 'application/json', body };
}

function text(status: number, body: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body };
}

function listen(server: Server, { host, port }: OpsOptions): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      server.off('error', reject);
      resolve(server.address() as AddressInfo);
    });
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve, reject) => {
    server.close((error) => (error === undefined ? resolve() : reject(error)));
    server.closeAllConnections();
  });
}
