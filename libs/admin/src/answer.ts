/** How an admin API answers: JSON, or a problem document. Never a stack trace. */
import type { Response } from 'express';
import type { Log } from '@millrace/runtime';
import { problem, toJson, type Problem, type ProblemCode } from '@millrace/wire';
import { BODY_BYTES_MAX, RETRY_AFTER_SECONDS } from './limits.ts';
import { Refused } from './refused.ts';
import { Invalid } from './route.ts';

/** What a service knows of the errors of its own work; undefined for those of somebody else. */
export type ProblemOf = (error: unknown) => Problem | undefined;

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
export function tell(error: unknown, { problemOf, log }: { readonly problemOf: ProblemOf; readonly log: Log }): Problem {
  if (error instanceof Refused) return problem(error.problem, error.message, error.extra);
  if (error instanceof Invalid) return problem(error.where === 'body' ? 'invalid_body' : 'invalid_parameter', describe(error), { errors: error.errors });
  const known = problemOf(error) ?? ofParser(error);
  if (known !== undefined) return known;
  log.error({ error }, 'a request failed');
  return problem('internal');
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
  return problem(code, code === 'body_too_large' ? `the limit is ${BODY_BYTES_MAX} bytes` : undefined);
}
