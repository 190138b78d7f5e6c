/** Who answers what: writes in front, because every microsecond counts there; everything else through express. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import express, { type Express, type Router } from 'express';
import type { Log } from '@millrace/runtime';
import type { BulkWrites } from './bulk/bulk.ts';
import type { BodyReader } from './http/body.ts';
import type { Metrics } from './metrics.ts';
import { failures, notFound } from './route/fallback.ts';
import type { RequestListener } from './server.ts';
import type { SingleWrites } from './write/single.ts';

export interface AppOptions {
  readonly singles: SingleWrites;
  readonly bulk: BulkWrites;
  readonly routers: readonly Router[];
  readonly bodies: BodyReader;
  readonly metrics: Metrics;
  readonly log: Log;
}

export function createApp({ singles, bulk, routers, bodies, metrics, log }: AppOptions): RequestListener {
  const rest: Express = express();
  rest.disable('x-powered-by');
  rest.disable('etag');
  rest.set('query parser', 'simple');
  for (const router of routers) rest.use(router);
  rest.use(notFound({ bodies, metrics }));
  rest.use(failures({ bodies, metrics, log }));
  return (req: IncomingMessage, res: ServerResponse) => {
    if (singles.handle(req, res) || bulk.handle(req, res)) return;
    rest(req, res);
  };
}
