/**
 * The API's description (OpenAPI 3.1), made from the tables and schemas that the gateway itself runs on:
 * paths from `writePaths`, bodies from the write types' schemas, errors from `PROBLEMS`.
 */
import { writeTypes } from '@millrace/domain';
import { PROBLEMS, toJson, type ProblemCode } from '@millrace/wire';
import { must } from '@millrace/write';
import { BULK_TEMPLATE } from './bulk/bulk.ts';
import { NDJSON_TYPE } from './bulk/stream.ts';
import { limits } from './limits.ts';
import { bodySchema, dataSchema, lineSchema, type JsonSchema } from './openapi-bodies.ts';
import { answerSchemas } from './openapi-answers.ts';
import { writePaths, type WritePath } from './write/paths.ts';

type Json = { readonly [name: string]: unknown };

const WRITE_PROBLEMS = [
  'malformed_json', 'invalid_body', 'invalid_parameter', 'idempotency_key_required', 'unauthorized', 'request_timeout',
  'idempotency_mismatch', 'body_too_large', 'unsupported_media_type', 'too_many_requests', 'kafka_unavailable',
  'produce_unknown', 'draining', 'internal',
] as const satisfies readonly ProblemCode[];
const BULK_PROBLEMS = ['unauthorized', 'unsupported_media_type', 'too_many_requests', 'kafka_unavailable', 'draining'] as const satisfies readonly ProblemCode[];
const READ_PROBLEMS = [
  'invalid_parameter', 'invalid_receipt', 'unauthorized', 'not_found', 'too_many_requests', 'shard_unavailable', 'not_yet_applied', 'internal',
] as const satisfies readonly ProblemCode[];

/** The document, as /openapi.json answers it. */
export function openapiJson(): string {
  return toJson({
    openapi: '3.1.0',
    info: {
      title: 'Millrace',
      version: '1',
      description:
        'Takes order and payment writes, acknowledges each one once Kafka holds it, and applies it exactly once in effect, in the order of its key. ' +
        'A 202 carries a receipt: ask for its outcome, or read no older than it. ' +
        'An order, a return and a transfer touch several accounts and stock items: all of it is reserved, then all confirmed, or all given back.',
    },
    security: [{ apiKey: [] }],
    paths: { ...Object.fromEntries(writePaths.map((path) => [path.template, { post: writeOperation(path) }])), ...bulkAndStatus(), ...reads() },
    components: {
      securitySchemes: { apiKey: { type: 'http', scheme: 'bearer', description: 'An API key names a tenant; every id is the tenant\'s own.' } },
      parameters: parameters(),
      schemas: {
        ...answerSchemas(),
        ...Object.fromEntries([...writeTypes.values()].map((type) => [type.type, dataSchema(type)])),
        Problem: problemSchema(),
      },
    },
  });
}

function writeOperation(path: WritePath): Json {
  return {
    summary: path.summary,
    operationId: path.template.slice('/v1/'.length).replace(/\W+/g, '-').replace(/-$/, '-post'),
    tags: ['writes'],
    parameters: [ref('parameters', 'IdempotencyKey'), ref('parameters', 'PreferWait'), ...(path.parameter === undefined ? [] : [pathParameter(path.parameter, path)])],
    requestBody: { required: bodySchema(path)['required'] !== undefined, content: { 'application/json': { schema: bodySchema(path) } } },
    responses: {
      200: answer('The outcome came within the `Prefer: wait` time.', 'WriteStatus'),
      202: {
        ...answer('Kafka holds the write.', 'Accepted'),
        headers: { Location: { description: 'Where the status of the write is.', schema: { type: 'string' } } },
      },
      ...problems(WRITE_PROBLEMS),
    },
  };
}

function bulkAndStatus(): Json {
  return {
    [BULK_TEMPLATE]: {
      post: {
        summary: 'Send many writes, one a line',
        description:
          'NDJSON in, NDJSON out: one answer line for each line with content, in the same order. A bad line never fails another. ' +
          'Lines of blanks only are skipped and have no answer. The body may be of any length; a client that does not read the answers is not read from. ' +
          'An answer that breaks off before its end is that of a gateway that shuts down: send the lines without an answer, or with `draining`, again.',
        operationId: 'writes-bulk',
        tags: ['writes'],
        requestBody: { required: true, content: { [NDJSON_TYPE]: { schema: lineSchema() } } },
        responses: {
          200: { description: 'One line a line.', content: { [NDJSON_TYPE]: { schema: ref('schemas', 'LineAnswer') } } },
          ...problems(BULK_PROBLEMS),
        },
      },
    },
    '/v1/writes/{receipt}': {
      get: {
        summary: 'The status of a write',
        operationId: 'write-status',
        tags: ['reads'],
        parameters: [{ name: 'receipt', in: 'path', required: true, schema: { type: 'string' } }, ref('parameters', 'PreferWait')],
        responses: { 200: answer('What is known of the write.', 'WriteStatus'), ...problems(READ_PROBLEMS) },
      },
    },
  };
}

function reads(): Json {
  return Object.fromEntries(
    [
      { template: '/v1/accounts/{account}', name: 'account', schema: 'Account', query: [] },
      { template: '/v1/payments/{payment}', name: 'payment', schema: 'Payment', query: [{ name: 'account', in: 'query', required: true, schema: { type: 'string' } }] },
      { template: '/v1/orders/{order}', name: 'order', schema: 'Order', query: [] },
      { template: '/v1/transfers/{transfer}', name: 'transfer', schema: 'Transfer', query: [] },
      { template: '/v1/stock/{sku}', name: 'sku', schema: 'Stock', query: [] },
    ].map(({ template, name, schema, query }) => [
      template,
      {
        get: {
          summary: `Read: ${schema.toLowerCase()}`,
          operationId: `read-${schema.toLowerCase()}`,
          tags: ['reads'],
          parameters: [{ name, in: 'path', required: true, schema: { type: 'string' } }, ...query, ref('parameters', 'After'), ref('parameters', 'PreferWait')],
          responses: { 200: answer('As it stands, not older than `after`.', schema), ...problems(READ_PROBLEMS) },
        },
      },
    ]),
  );
}

function parameters(): Json {
  return {
    IdempotencyKey: {
      name: 'Idempotency-Key',
      in: 'header',
      required: true,
      description: 'Names the write: the same key and body again is the same write, however often it is sent.',
      schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[!-~]{1,255}$' },
    },
    PreferWait: {
      name: 'Prefer',
      in: 'header',
      required: false,
      description:
        '`wait=SECONDS`, up to 30: how long to wait for the outcome, or for the write that `after` names. ' +
        'The outcome of an order, a cancel, a return or a transfer is its end: confirmed, or undone. ' +
        `Where ${limits.waitersMax.toLocaleString('en')} requests wait already, nothing is waited for: a write is answered 202, a status with what is known, and a read with \`after\` 429, unless it need not wait.`,
      schema: { type: 'string', examples: ['wait=5'] },
    },
    After: {
      name: 'after',
      in: 'query',
      required: false,
      description:
        'A receipt: the answer is not older than its write. A receipt of another id is fine. Of an order or a transfer, the receipt of a cancel, ' +
        'a return or the transfer itself waits until that is taken or refused. What it changes of accounts and stock comes with its end.',
      schema: { type: 'string' },
    },
  };
}

function problemSchema(): JsonSchema {
  return {
    type: 'object',
    description: 'RFC 9457. `type` and `code` are stable; `action` says what to do.',
    required: ['type', 'title', 'status', 'code', 'action'],
    properties: {
      type: { type: 'string', examples: ['urn:millrace:problem:invalid_body'] },
      title: { type: 'string' },
      status: { type: 'integer' },
      code: { type: 'string', enum: Object.keys(PROBLEMS) },
      action: { type: 'string' },
      detail: { type: 'string' },
      errors: {
        type: 'array',
        items: { type: 'object', required: ['path', 'message'], properties: { path: { type: 'string' }, message: { type: 'string' } } },
      },
    },
  };
}

/** The problems of an operation by status, each with its codes. */
function problems(codes: readonly ProblemCode[]): Json {
  const codesByStatus = Map.groupBy(codes, (code) => PROBLEMS[code].status);
  return Object.fromEntries(
    [...codesByStatus].map(([status, list]) => [
      status,
      {
        description: list.map((code) => `\`${code}\`: ${PROBLEMS[code].title}.`).join(' '),
        content: { 'application/problem+json': { schema: ref('schemas', 'Problem') } },
      },
    ]),
  );
}

function pathParameter(name: string, path: WritePath): Json {
  const schema = must(path.types[0], 'a path takes a type of write');
  const properties = dataSchema(schema).properties ?? {};
  return { name, in: 'path', required: true, schema: properties[name] ?? { type: 'string' } };
}

function answer(description: string, schema: string): Json {
  return { description, content: { 'application/json': { schema: ref('schemas', schema) } } };
}

function ref(kind: 'schemas' | 'parameters', name: string): { readonly $ref: string } {
  return { $ref: `#/components/${kind}/${name}` };
}

