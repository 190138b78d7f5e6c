/** What no route took: 404 or 405, and the errors that handlers throw. */
import type { Log } from '@millrace/runtime';
import type { ErrorRequestHandler, RequestHandler } from 'express';
import { Refusal, sendRefusal } from '../http/answer.ts';
import type { BodyReader } from '../http/body.ts';
import { pathOf } from '../http/path.ts';
import type { Metrics } from '../metrics.ts';
import { BULK_TEMPLATE } from '../bulk/bulk.ts';
import { matchWrite } from '../write/paths.ts';

const READ_PATTERN = /^\/v1\/(?:accounts|payments|orders|transfers|stock|writes)\/[^/]+$/;

export function notFound({ bodies, metrics }: { bodies: BodyReader; metrics: Metrics }): RequestHandler {
  const route = metrics.route('none');
  return (req, res) => {
    const allow = allowedMethods(pathOf(req.originalUrl));
    const refusal = allow === '' ? new Refusal('not_found', 'no such path') : new Refusal('method_not_allowed', undefined, { headers: ['Allow', allow] });
    route.refused(refusal);
    bodies.refuse(req, res, refusal);
  };
}

export function failures({ bodies, metrics, log }: { bodies: BodyReader; metrics: Metrics; log: Log }): ErrorRequestHandler {
  const route = metrics.route('none');
  return (error: unknown, req, res, _next) => {
    if (error instanceof Refusal) {
      bodies.refuse(req, res, error);
      return;
    }
    // Express tells by a status what the client got wrong: a path that cannot be decoded, a header it refuses.
    const status = typeof error === 'object' && error !== null && 'status' in error ? Number(error.status) : 500;
    const refusal = status >= 400 && status < 500 ? new Refusal('invalid_parameter', 'the path') : new Refusal('internal');
    if (refusal.document.status === 500) log.error({ method: req.method, path: pathOf(req.originalUrl), error }, 'a request failed on an error of ours');
    route.refused(refusal);
    sendRefusal(res, refusal, { close: true });
  };
}

function allowedMethods(path: string): string {
  const methods = [
    ...(READ_PATTERN.test(path) || path === '/openapi.json' ? ['GET', 'HEAD'] : []),
    ...(path === BULK_TEMPLATE || matchWrite(path) ? ['POST'] : []),
  ];
  return methods.join(', ');
}
