/** An admin API as an express app: who may call, what is a body, and the routes. */
import { isUtf8 } from 'node:buffer';
import { createHash, timingSafeEqual } from 'node:crypto';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import type { Log } from '@millrace/runtime';
import { parseJson, problem } from '@millrace/wire';
import { answer, refuse, tell, type ProblemOf } from './answer.ts';
import { BODY_BYTES_MAX } from './limits.ts';
import { openapiJson, type About } from './openapi.ts';
import { Refused } from './refused.ts';
import { Later, type Route } from './route.ts';

export interface AppInput {
  /** Who may call: `Authorization: Bearer TOKEN`. The description needs none. */
  readonly token: string;
  readonly routes: readonly Route[];
  readonly about: About;
  readonly problemOf: ProblemOf;
  readonly log: Log;
}

export function createApp({ token, routes, about, problemOf, log }: AppInput): Express {
  const app = express().disable('x-powered-by').disable('etag');
  const description = openapiJson(routes, about);
  app.get('/openapi.json', (_request, response) => void response.type('application/json').send(description));
  app.use(authorize(token));
  app.use(express.raw({ type: 'application/json', limit: BODY_BYTES_MAX, inflate: false }));
  const byPath = Map.groupBy(routes, ({ path }) => expressPath(path));
  for (const [path, those] of byPath) for (const route of those) app[route.method](path, (request, response) => serve(route, request, response));
  // Behind all routes: a path that takes slashes fits those that go on from it too.
  for (const [path, those] of byPath) {
    const allowed = those.map(({ method }) => method.toUpperCase()).join(', ');
    app.all(path, (request, response) => {
      response.setHeader('allow', allowed);
      refuse(response, problem('method_not_allowed', `${request.method} ${request.path}`));
    });
  }
  app.use((request: Request, response: Response) => refuse(response, problem('not_found', `${request.method} ${request.path}`)));
  app.use((error: unknown, _request: Request, response: Response, _next: NextFunction) => refuse(response, tell(error, { problemOf, log })));
  return app;
}

async function serve(route: Route, request: Request, response: Response): Promise<void> {
  const over = new AbortController();
  response.once('close', () => over.abort(new Refused('malformed_request', 'the caller does not wait any more')));
  const result = await route.run({ parameters: parametersOf(request), query: { ...request.query }, body: bodyOf(request), signal: over.signal });
  if (result instanceof Later) answer(response, 202, result.body);
  else answer(response, route.status, result);
}

/** `{id}` takes one segment, `{id+}` one or more. */
function expressPath(path: string): string {
  return path.replace(/\{(\w+)\+\}/g, '*$1').replace(/\{(\w+)\}/g, ':$1');
}

/** The segments of a parameter that takes slashes arrive apart. */
function parametersOf({ params }: Request): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries<string | string[]>(params).map(([name, value]) => [name, Array.isArray(value) ? value.join('/') : value]));
}

function bodyOf(request: Request): unknown {
  const body: unknown = request.body;
  if (!Buffer.isBuffer(body)) {
    if (hasBody(request)) throw new Refused('unsupported_media_type', 'the body is application/json');
    return undefined;
  }
  if (body.length === 0) return undefined;
  if (!isUtf8(body)) throw new Refused('malformed_json', 'the body is not UTF-8');
  try {
    return parseJson(body);
  } catch {
    throw new Refused('malformed_json', 'the body is not JSON');
  }
}

function hasBody({ headers }: Request): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function authorize(token: string) {
  const wanted = sha256(token);
  return (request: Request, response: Response, next: NextFunction): void => {
    const presented = /^Bearer (\S{1,512})$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    if (timingSafeEqual(sha256(presented), wanted)) return next();
    response.setHeader('www-authenticate', 'Bearer');
    return refuse(response, problem('unauthorized', 'the admin API has a token of its own'));
  };
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
