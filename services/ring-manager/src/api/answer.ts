/** How the admin API answers: JSON, or a problem document. Never a stack trace. */
import type { Response } from 'express';
import { PgError } from '@millrace/postgres';
import type { Log } from '@millrace/runtime';
import { ShardsFileBroken, UnknownShard } from '@millrace/topology';
import { problem, toJson, type Problem, type ProblemCode } from '@millrace/wire';
import { Refused } from '../control/refused.ts';
import { ADMIN_BODY_BYTES_MAX, RETRY_AFTER_SECONDS } from '../limits.ts';
import { Invalid } from './route.ts';

export function answer(response: Response, status: number, body: unknown): void {
  response.status(status).setHeader('cache-control', 'no-store');
  if (body === undefined) response.end();
  else response.type('application/json').send(toJson(body));
}

export function refuse(response: Response, document: Problem): void {
  if (response.headersSent) return void response.destroy();
  if (document.status === 503 || document.status === 429) response.setHeader('retry-after', String(RETRY_AFTER_SECONDS));
  response.status(document.status).setHeader('cache-control', 'no-store').type('application/problem+json').send(toJson(document));
}

/** What the caller is told of an error; what is our own fault goes to the log alone. */
export function problemOf(error: unknown, log: Log): Problem {
  if (error instanceof Refused) return problem(error.problem, error.message, error.extra);
  if (error instanceof Invalid) return problem(error.where === 'body' ? 'invalid_body' : 'invalid_parameter', describe(error), { errors: error.errors });
  if (error instanceof UnknownShard || error instanceof ShardsFileBroken) return ofAddresses(error, log);
  if (error instanceof PgError && (error.kind === 'infrastructure' || error.kind === 'unknown-commit')) {
    log.warn({ reason: error.message }, 'a request failed with its database');
    return error.database === 'control' ? problem('control_unavailable') : problem('shard_unavailable', `shard ${error.database}`);
  }
  const refused = ofParser(error);
  if (refused !== undefined) return refused;
  log.error({ error }, 'a request failed');
  return problem('internal');
}

/** Why a shard has no address: what is to be mended is the file, not the database. */
function ofAddresses(error: UnknownShard | ShardsFileBroken, log: Log): Problem {
  const reason = error.cause instanceof ShardsFileBroken ? error.cause.message : error.message;
  log.warn({ reason }, 'a request failed without the address of a shard');
  return problem('shard_unavailable', reason);
}

function describe({ errors }: Invalid): string {
  return errors.map(({ path, message }) => (path === '' ? message : `${path}: ${message}`)).join('; ');
}

const PARSER_ERRORS: Readonly<Record<string, ProblemCode>> = {
  'entity.too.large': 'body_too_large',
  'encoding.unsupported': 'unsupported_media_type',
  'request.size.invalid': 'malformed_request',
  'request.aborted': 'malformed_request',
};

/** What express and its body parser throw before a route is reached. */
function ofParser(error: unknown): Problem | undefined {
  if (error instanceof URIError) return problem('invalid_parameter', 'the path is not percent-encoded UTF-8');
  const type = typeof error === 'object' && error !== null && 'type' in error ? String(error.type) : '';
  const code = PARSER_ERRORS[type];
  if (code === undefined) return undefined;
  return problem(code, code === 'body_too_large' ? `the limit is ${ADMIN_BODY_BYTES_MAX} bytes` : undefined);
}
