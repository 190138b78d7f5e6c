/** What an API refused or did not answer: told to the user in whole, without a stack. */
import { z } from 'zod';

import { UsageError } from '../usage-error.ts';

const problemSchema = z.object({
  title: z.string(),
  code: z.string().optional(),
  detail: z.string().optional(),
  action: z.string().optional(),
});

/** A problem document (RFC 9457). */
export class ApiProblem extends UsageError {
  readonly status: number;
  /** Of the table of problems; undefined for an answer of something else, such as a proxy. */
  readonly problem: string | undefined;

  constructor(status: number, body: unknown) {
    const parsed = problemSchema.safeParse(body);
    super(parsed.success ? textOf(parsed.data) : `The API answered with status ${status}.`);
    this.status = status;
    this.problem = parsed.success ? parsed.data.code : undefined;
  }
}

/** Nobody listens, or nobody answered in time: whether the request was carried out is not known. */
export class ApiSilent extends UsageError {
  constructor(what: string, options: ErrorOptions) {
    super(`${what} does not answer: ${reasonOf(options.cause)}`, options);
  }
}

/** Worth asking again: nobody answers, or who answers says that it cannot now. */
export function isPassing(error: unknown): boolean {
  return error instanceof ApiSilent || (error instanceof ApiProblem && (error.status === 503 || error.status === 500 || error.status === 429));
}

export function isProblem(error: unknown, code: string): boolean {
  return error instanceof ApiProblem && error.problem === code;
}

function textOf({ title, detail, action }: z.infer<typeof problemSchema>): string {
  const facts = detail === undefined ? title : `${title}: ${detail}`;
  return action === undefined ? facts : `${facts}\n  What to do: ${action}`;
}

/** Without the name of the error, for a line among others. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function reasonOf(cause: unknown): string {
  const inner = cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  return messageOf(inner);
}
