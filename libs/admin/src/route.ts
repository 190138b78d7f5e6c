/** A route of an admin API: one row from which the server answers and the description is written. */
import type { ProblemCode } from '@millrace/wire';
import type { z } from 'zod';

export type Method = 'get' | 'post' | 'patch' | 'delete';

/** What every route tells of itself. */
export interface RouteFacts {
  readonly method: Method;
  /** With `{parameters}`, as OpenAPI writes it; `{name+}` also takes slashes that are not encoded. */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  readonly tag: string;
  readonly status: 200 | 201 | 202 | 204;
  /** Whether `handle` may answer `Later`, with status 202. */
  readonly mayBeLater?: boolean;
  readonly problems: readonly ProblemCode[];
}

interface TypedRoute<P, Q, B, A> extends RouteFacts {
  readonly parameters?: z.ZodType<P>;
  readonly query?: z.ZodType<Q>;
  readonly body?: z.ZodType<B>;
  readonly answer?: z.ZodType<A>;
  readonly handle: (input: { readonly parameters: P; readonly query: Q; readonly body: B; readonly signal: AbortSignal }) => Promise<A | Later<A>>;
}

/** What was asked for is not done yet: so it stands. */
export class Later<A> {
  readonly body: A;

  constructor(body: A) {
    this.body = body;
  }
}

/** What a client sends, not validated. */
export interface RawInput {
  readonly parameters: unknown;
  readonly query: unknown;
  readonly body: unknown;
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
}

export interface Route extends RouteFacts {
  readonly parameters?: z.ZodType | undefined;
  readonly query?: z.ZodType | undefined;
  readonly body?: z.ZodType | undefined;
  readonly answer?: z.ZodType | undefined;
  /** @throws Invalid, and what the work throws. */
  readonly run: (raw: RawInput) => Promise<unknown>;
}

/** What a client has sent does not fit. */
export class Invalid extends Error {
  override readonly name = 'Invalid';
  readonly where: 'body' | 'parameter';
  readonly errors: readonly { readonly path: string; readonly message: string }[];

  constructor(where: 'body' | 'parameter', error: z.ZodError) {
    super(`${where} not valid`);
    this.where = where;
    this.errors = error.issues.map(({ path, message }) => ({ path: path.join('.'), message }));
  }
}

/** The path as OpenAPI writes it. */
export function pathOf({ path }: RouteFacts): string {
  return path.replaceAll('+}', '}');
}

/** Bodies, parameters and queries reach `handle` only through their schemas. */
export function route<P = undefined, Q = undefined, B = undefined, A = undefined>(typed: TypedRoute<P, Q, B, A>): Route {
  const { parameters, query, body, handle } = typed;
  return {
    ...typed,
    run: (raw) =>
      handle({
        parameters: checked(parameters, raw.parameters, 'parameter'),
        query: checked(query, raw.query, 'parameter'),
        body: checked(body, raw.body ?? {}, 'body'),
        signal: raw.signal,
      }),
  };
}

/** Without a schema nothing is expected, and what is sent is not looked at. */
function checked<T>(schema: z.ZodType<T> | undefined, value: unknown, where: 'body' | 'parameter'): T {
  if (schema === undefined) return undefined as T;
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw new Invalid(where, parsed.error);
  return parsed.data;
}
