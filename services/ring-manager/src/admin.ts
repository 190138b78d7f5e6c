/** The admin API, apart from the producers' one: another port, another token. */
import { timingSafeEqual, createHash } from 'node:crypto';
import type { Server } from 'node:http';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import type { Topology } from '@millrace/ring';
import { problem, toJson, type ProblemCode } from '@millrace/wire';
import { ADMIN_CONNECTIONS_MAX } from './limits.ts';

export interface AdminInput {
  readonly host: string;
  readonly port: number;
  /** Who may call: `Authorization: Bearer TOKEN`. */
  readonly token: string;
  readonly topology: () => Topology;
}

/** Serves until `close`. */
export async function startAdmin(input: AdminInput): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = await listen(createAdmin(input), input);
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

function createAdmin({ token, topology }: AdminInput): Express {
  const app = express().disable('x-powered-by').disable('etag');
  app.use(authorize(token));
  app.get('/v1/topology', (_request, response) => answer(response, 200, topology()));
  app.use((request: Request, response: Response) => refuse(response, 'not_found', `${request.method} ${request.path}`));
  app.use((_error: unknown, _request: Request, response: Response, _next: NextFunction) => refuse(response, 'internal'));
  return app;
}

function authorize(token: string) {
  const wanted = sha256(token);
  return (request: Request, response: Response, next: NextFunction): void => {
    const presented = /^Bearer (\S{1,512})$/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    if (timingSafeEqual(sha256(presented), wanted)) return next();
    response.setHeader('www-authenticate', 'Bearer');
    return refuse(response, 'unauthorized', 'the admin API has a token of its own');
  };
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

function answer(response: Response, status: number, body: unknown): void {
  response.status(status).type('application/json').send(toJson(body));
}

function refuse(response: Response, code: ProblemCode, detail?: string): void {
  const document = problem(code, detail);
  response.status(document.status).type('application/problem+json').send(toJson(document));
}

function listen(app: Express, { host, port }: AdminInput): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = app.listen(port, host, (error?: Error) => (error ? reject(error) : resolve(server)));
    server.headersTimeout = 10_000;
    server.requestTimeout = 15_000;
    server.maxConnections = ADMIN_CONNECTIONS_MAX;
  });
}
