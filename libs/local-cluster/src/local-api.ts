/**
 * The local API of a running cluster: lets a shard's Postgres join and leave. On the loopback, with the admin token.
 *
 *     GET    /shards        the shards that run
 *     POST   /shards {id}   starts one; 201, or 200 where it is there already
 *     DELETE /shards/{id}   stops one that is no member any more, and deletes its data where it owns nothing
 */
import { hash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';

import { parseJson, problem, toJson } from '@millrace/wire';
import { SHARD_ID_PATTERN } from '@millrace/write';
import { z } from 'zod';

import { Refusal } from './refusal.ts';
import type { ShardSet } from './shard-set.ts';

export interface LocalApiInput {
  readonly port: number;
  readonly token: string;
  readonly shards: Pick<ShardSet, 'joined' | 'add' | 'remove'>;
}

export interface LocalApi {
  readonly port: number;
  /** Takes no more requests; those under way are answered. */
  close(): Promise<void>;
}

interface Reply {
  readonly status: number;
  readonly body: unknown;
}

const HOST = '127.0.0.1';
const BODY_BYTES_MAX = 4096;
const CONNECTIONS_MAX = 16;
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 15_000;

const shardId = z.string().regex(SHARD_ID_PATTERN, 'is not a shard id: 1 to 32 of a-z, 0-9 and -, the first no -');
const newShard = z.strictObject({ id: shardId });

export async function startLocalApi(input: LocalApiInput): Promise<LocalApi> {
  const server = createServer((request, response) => void serve(input, request, response));
  server.maxConnections = CONNECTIONS_MAX;
  server.headersTimeout = HEADERS_TIMEOUT_MS;
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  await listen(server, input.port);
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : input.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      }),
  };
}

async function serve(input: LocalApiInput, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { status, body } = await answer(input, request).catch(replyTo);
  const isProblem = status >= 400;
  response.writeHead(status, { 'content-type': isProblem ? 'application/problem+json' : 'application/json', connection: 'close' });
  response.end(toJson(body));
}

async function answer({ token, shards }: LocalApiInput, request: IncomingMessage): Promise<Reply> {
  const { method = '', url = '' } = request;
  if (!isAuthorized(request, token)) return refused('unauthorized', 'the local API takes the admin token: `adminToken` in cluster.json');
  const [, room, id, ...rest] = url.split('/');
  if (room !== 'shards' || rest.length > 0) return refused('not_found', `${method} ${url}`);
  if (id === undefined && method === 'GET') return { status: 200, body: { shards: shards.joined.map(shardOf) } };
  if (id === undefined && method === 'POST') return await add(shards, request);
  if (id !== undefined && method === 'DELETE') return await remove(shards, id);
  return refused('not_found', `${method} ${url}`);
}

async function add(shards: LocalApiInput['shards'], request: IncomingMessage): Promise<Reply> {
  const text = await readBody(request);
  if (text === undefined) return refused('body_too_large', `over ${BODY_BYTES_MAX} bytes`);
  const parsed = newShard.safeParse(valueOf(text));
  if (!parsed.success) return refused('invalid_body', z.prettifyError(parsed.error));
  const { id } = parsed.data;
  const isNew = await shards.add(id);
  return { status: isNew ? 201 : 200, body: { id, started: isNew } };
}

async function remove(shards: LocalApiInput['shards'], id: string): Promise<Reply> {
  if (!shardId.safeParse(id).success) return refused('invalid_parameter', `${id} is not a shard id`);
  return { status: 200, body: { id, ...(await shards.remove(id)) } };
}

function shardOf({ id, postgres }: ShardSet['joined'][number]): unknown {
  return { id, pid: postgres.pid ?? null, port: postgres.port };
}

function replyTo(error: unknown): Reply {
  if (!(error instanceof Refusal)) return refused('internal', String(error));
  const body = error.problem();
  return { status: body.status, body };
}

function refused(code: Parameters<typeof problem>[0], detail: string): Reply {
  const body = problem(code, detail);
  return { status: body.status, body };
}

function isAuthorized(request: IncomingMessage, token: string): boolean {
  const presented = /^Bearer (\S{1,512})$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
  return timingSafeEqual(hash('sha256', presented, 'buffer'), hash('sha256', token, 'buffer'));
}

/** The body as text; undefined where it is over the limit. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= BODY_BYTES_MAX) chunks.push(chunk); // the rest is read and dropped, so that the answer gets through
  }
  return bytes > BODY_BYTES_MAX ? undefined : Buffer.concat(chunks).toString('utf8');
}

/** What is not JSON is not of the schema either. */
function valueOf(text: string): unknown {
  try {
    return parseJson(text);
  } catch {
    return text;
  }
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: HOST, port, exclusive: true }, () => resolve());
  });
}
