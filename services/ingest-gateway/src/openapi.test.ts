import { expect, test } from '@jest/globals';
import { writeTypes } from '@millrace/domain';
import { openapiJson } from './openapi.ts';
import { writePaths } from './write/paths.ts';

interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, Readonly<Record<string, { readonly responses: object }>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, { readonly properties?: object; readonly required?: readonly string[]; readonly examples?: readonly object[] }>> };
}
const text = openapiJson();
const document = JSON.parse(text) as Document;

test('the description names every path that takes writes, and every type of write', () => {
  expect(document.openapi).toMatch(/^3\.1\./);
  for (const { template } of writePaths) expect(document.paths[template]?.['post']?.responses).toHaveProperty('202');
  for (const type of writeTypes.keys()) expect(document.components.schemas[type]?.properties).toBeDefined();
});

test('orders, returns and transfers are described with their states, their reasons and their history', () => {
  const { Order, Return, Transfer } = document.components.schemas;
  for (const schema of [Order, Return, Transfer]) {
    expect(schema?.properties).toMatchObject({ state: { enum: ['placed', 'confirmed', 'rejected', 'cancelled'] }, reason: { enum: expect.arrayContaining(['insufficient_stock', 'insufficient_funds', 'deadline_passed']) }, history: { type: 'array' } });
  }
  for (const path of ['/v1/orders/{order}', '/v1/transfers/{transfer}']) expect(document.paths[path]?.['get']?.responses).toHaveProperty('200');
});

test('an example has the fields that its schema names, and all that it requires', () => {
  const schemas = Object.values(document.components.schemas).filter(({ examples, properties }) => examples !== undefined && properties !== undefined);
  expect(schemas.length).toBeGreaterThan(0);
  for (const { examples = [], properties = {}, required = [] } of schemas) {
    for (const example of examples) {
      expect(Object.keys(properties)).toEqual(expect.arrayContaining(Object.keys(example)));
      expect(Object.keys(example)).toEqual(expect.arrayContaining([...required]));
    }
  }
});

test('every reference in the description leads somewhere', () => {
  for (const [, kind, name] of text.matchAll(/"#\/components\/(\w+)\/([\w.]+)"/g)) {
    expect(document.components).toHaveProperty([String(kind), String(name)]);
  }
});

test('a body does not ask again for what the path says', () => {
  expect(text).toContain('/v1/accounts/{account}/deposits');
  const deposit = JSON.stringify(document.paths['/v1/accounts/{account}/deposits']?.['post']);
  expect(deposit).not.toContain('"required":["account"');
});
