/** Bodies as the API's description shows them, from the write types' own schemas. */
import { paymentAuthorize, writeTypes, type AnyWriteType } from '@millrace/domain';
import { z } from 'zod';
import type { WritePath } from './write/paths.ts';

export interface JsonSchema {
  readonly type?: string;
  readonly description?: string;
  readonly required?: readonly string[];
  readonly properties?: { readonly [name: string]: unknown };
  readonly [keyword: string]: unknown;
}

/** The data of a write type: what a line of NDJSON carries. */
export function dataSchema({ schema }: AnyWriteType): JsonSchema {
  const { $schema: _dialect, ...rest } = z.toJSONSchema(schema, { io: 'input' });
  return rest as JsonSchema;
}

/** The body of a POST: the data without what the path says. */
export function bodySchema({ types, parameter }: WritePath): JsonSchema {
  const [type] = types;
  if (type === undefined) return {};
  if (types.length > 1) return withCapture(dataSchema(type));
  return parameter === undefined ? dataSchema(type) : without(dataSchema(type), parameter);
}

/** A line of a bulk request: the type decides what `data` is. */
export function lineSchema(): JsonSchema {
  return {
    oneOf: [...writeTypes.keys()].map((type) => ({
      type: 'object',
      required: ['type', 'idempotency_key', 'data'],
      additionalProperties: false,
      properties: {
        type: { const: type },
        idempotency_key: { type: 'string', pattern: '^[!-~]{1,255}$' },
        data: { $ref: `#/components/schemas/${type}` },
      },
    })),
  };
}

function withCapture(schema: JsonSchema): JsonSchema {
  const capture = { type: 'boolean', default: false, description: 'True to capture at once.' };
  return { ...schema, title: `${paymentAuthorize.type} or payment.capture`, properties: { ...schema.properties, capture } };
}

function without(schema: JsonSchema, field: string): JsonSchema {
  const { [field]: _inPath, ...properties } = schema.properties ?? {};
  const required = schema.required?.filter((name) => name !== field) ?? [];
  const { required: _all, ...rest } = schema;
  return { ...rest, ...(required.length === 0 ? {} : { required }), properties };
}
