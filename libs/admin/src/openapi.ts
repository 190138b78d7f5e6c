/** An admin API's description (OpenAPI 3.1), made from the routes and schemas that the server itself runs on. */
import { PROBLEMS, toJson, type ProblemCode } from '@millrace/wire';
import { z } from 'zod';
import { pathOf, type Route } from './route.ts';

/** What an API says of itself. */
export interface About {
  readonly title: string;
  readonly description: string;
  /** That any route may answer, beside `unauthorized` and `internal`. */
  readonly problems: readonly ProblemCode[];
}

type Json = { readonly [name: string]: unknown };

/** Of every route; the rest stands in its row. */
const ALWAYS = ['unauthorized', 'internal'] as const satisfies readonly ProblemCode[];
const WITH_BODY = ['malformed_json', 'invalid_body', 'body_too_large', 'unsupported_media_type'] as const satisfies readonly ProblemCode[];

export function openapiJson(routes: readonly Route[], about: About): string {
  return toJson({
    openapi: '3.1.0',
    info: { title: about.title, version: '1', description: about.description },
    security: [{ adminToken: [] }],
    paths: Object.fromEntries([...Map.groupBy(routes, pathOf)].map(([path, those]) => [path, Object.fromEntries(those.map((route) => [route.method, operation(route, about)]))])),
    components: {
      securitySchemes: { adminToken: { type: 'http', scheme: 'bearer', description: 'The token of ADMIN_TOKEN_FILE.' } },
      schemas: { Problem: problemSchema() },
    },
  });
}

function operation(route: Route, about: About): Json {
  const path = pathOf(route);
  const { method, summary, description, tag, parameters, query, body } = route;
  const inPath = fields(parameters, 'path');
  const inQuery = fields(query, 'query');
  return {
    summary,
    ...(description === undefined ? {} : { description }),
    operationId: `${method}-${path.slice('/v1/'.length).replace(/\W+/g, '-').replace(/-$/, '')}`,
    tags: [tag],
    ...(inPath.length + inQuery.length === 0 ? {} : { parameters: [...inPath, ...inQuery] }),
    ...(body === undefined ? {} : { requestBody: { required: needed(body), content: { 'application/json': { schema: schemaOf(body) } } } }),
    responses: { [route.status]: success(route), ...(route.mayBeLater === true ? { 202: { ...success(route), description: 'Asked for, and not done yet.' } } : {}), ...problems(route, about) },
  };
}

function success({ summary, answer }: Route): Json {
  if (answer === undefined) return { description: 'Done.' };
  return { description: summary, content: { 'application/json': { schema: schemaOf(answer) } } };
}

function problems(route: Route, about: About): Json {
  const parameter: readonly ProblemCode[] = route.parameters !== undefined || route.query !== undefined ? ['invalid_parameter'] : [];
  const codes = new Set([...ALWAYS, ...about.problems, ...parameter, ...(route.body === undefined ? [] : WITH_BODY), ...route.problems]);
  return Object.fromEntries(
    [...Map.groupBy(codes, (code) => PROBLEMS[code].status)].map(([status, list]) => [
      status,
      {
        description: list.map((code) => `\`${code}\`: ${PROBLEMS[code].title}.`).join(' '),
        content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
      },
    ]),
  );
}

interface ObjectSchema {
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly required?: readonly string[];
}

function fields(schema: z.ZodType | undefined, where: 'path' | 'query'): readonly Json[] {
  if (schema === undefined) return [];
  const { properties = {}, required = [] } = schemaOf(schema) as ObjectSchema;
  return Object.entries(properties).map(([name, type]) => ({ name, in: where, required: required.includes(name), schema: type }));
}

function needed(body: z.ZodType): boolean {
  return ((schemaOf(body) as ObjectSchema).required ?? []).length > 0;
}

/** As a client writes it, or reads it: answers may gain fields. */
function schemaOf(schema: z.ZodType): Json {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io: 'input' });
  return rest;
}

function problemSchema(): Json {
  return {
    type: 'object',
    description: 'RFC 9457. `type` and `code` are stable; `action` says what to do.',
    required: ['type', 'title', 'status', 'code', 'action'],
    properties: {
      type: { type: 'string', examples: ['urn:millrace:problem:slot_moving'] },
      title: { type: 'string' },
      status: { type: 'integer' },
      code: { type: 'string', enum: Object.keys(PROBLEMS) },
      action: { type: 'string' },
      detail: { type: 'string' },
      errors: { type: 'array', items: { type: 'object', required: ['path', 'message'], properties: { path: { type: 'string' }, message: { type: 'string' } } } },
    },
  };
}
